#include "runtime/profile/memory_kills.h"

#include <algorithm>
#include <fstream>
#include <optional>

#include "runtime/profile/cgroup.h"

namespace longstride {
namespace {

std::optional<int64_t> ReadKills(const std::string& file) {
  std::ifstream in(file);
  std::string name;
  for (int64_t value = 0; in >> name >> value;) {
    if (name == "oom_kill") return value;
  }
  return std::nullopt;
}

}  // namespace

void MemoryKillWatch::Look(int pid) {
  for (const CgroupHierarchy& hierarchy : FindCgroups(root_, "memory", std::to_string(pid))) {
    const std::string file =
        hierarchy.directories.front() +
        (hierarchy.version == CgroupVersion::kV2 ? "/memory.events" : "/memory.oom_control");
    const std::optional<int64_t> kills = ReadKills(file);
    if (!kills) continue;
    // In v1 a process that is about to end already shows the root.
    if (hierarchy.directories.size() > 1 || !counters_.contains(pid)) counters_[pid] = file;
    attributed_.try_emplace(file, *kills);
    return;
  }
}

bool MemoryKillWatch::WasKilled(int pid, bool by_sigkill) {
  const auto process = counters_.find(pid);
  if (process == counters_.end()) return false;
  const std::string file = process->second;
  counters_.erase(process);
  if (!by_sigkill) return false;
  int64_t& attributed = attributed_[file];
  const int64_t kills = ReadKills(file).value_or(0);
  attributed = std::min(attributed, kills);  // another group of that name has taken its place
  if (kills == attributed) return false;
  ++attributed;
  return true;
}

}  // namespace longstride
