#include "runtime/profile/limits.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "runtime/profile/cgroup.h"

namespace longstride {
namespace {

// cgroup v1 writes "no limit" as LONG_MAX rounded down to a page; nothing real comes near 2^60
// bytes.
constexpr int64_t kUnlimitedBytes = int64_t{1} << 60;

std::optional<int64_t> ParseInteger(const std::string& text) {
  int64_t value = 0;
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;  // "max", for one
  return value;
}

// The value in bytes of "Name:   123 kB" in a /proc file; 0 if it is not there.
int64_t KilobyteField(const std::string& path, const std::string& name) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(name + ":", 0) != 0) continue;
    std::istringstream fields(line.substr(name.size() + 1));
    int64_t kilobytes = 0;
    return fields >> kilobytes ? kilobytes * 1024 : 0;
  }
  return 0;
}

std::optional<std::string> TextField(const std::string& path, const std::string& name) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(name, 0) != 0) continue;
    const size_t colon = line.find(':');
    const size_t start =
        colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
    if (start != std::string::npos) return line.substr(start);
  }
  return std::nullopt;
}

int64_t CountCpus(const std::string& root) {
  int64_t cpus = 0;
  if (auto list = TextField(root + "/proc/self/status", "Cpus_allowed_list"))
    cpus = CountCpuList(*list);
  for (const CgroupHierarchy& hierarchy : FindCgroups(root, "cpuset")) {
    const char* file =
        hierarchy.version == CgroupVersion::kV2 ? "/cpuset.cpus.effective" : "/cpuset.cpus";
    for (const std::string& directory : hierarchy.directories) {
      if (auto list = ReadFirstLine(directory + file))
        cpus = TighterLimit(cpus, CountCpuList(*list));
    }
  }
  if (cpus == 0) cpus = std::thread::hardware_concurrency();
  return std::max<int64_t>(1, cpus);
}

double QuotaOf(const std::string& directory, CgroupVersion version) {
  std::optional<int64_t> quota;
  std::optional<int64_t> period;
  if (version == CgroupVersion::kV2) {
    const auto line = ReadFirstLine(directory + "/cpu.max");  // "max 100000" or "150000 100000"
    const size_t space = line ? line->find(' ') : std::string::npos;
    if (space == std::string::npos) return 0;
    quota = ParseInteger(line->substr(0, space));
    period = ParseInteger(line->substr(space + 1));
  } else {
    quota = ParseInteger(ReadFirstLine(directory + "/cpu.cfs_quota_us").value_or(""));
    period = ParseInteger(ReadFirstLine(directory + "/cpu.cfs_period_us").value_or(""));
  }
  if (!quota || !period || *quota <= 0 || *period <= 0) return 0;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

double ReadQuota(const std::string& root) {
  double tightest = 0;
  for (const CgroupHierarchy& hierarchy : FindCgroups(root, "cpu")) {
    for (const std::string& directory : hierarchy.directories) {
      const double quota = QuotaOf(directory, hierarchy.version);
      if (quota > 0 && (tightest == 0 || quota < tightest)) tightest = quota;
    }
  }
  return tightest;
}

}  // namespace

int64_t ReadMemoryLimit(const std::string& root) {
  int64_t tightest = KilobyteField(root + "/proc/meminfo", "MemTotal");
  for (const CgroupHierarchy& hierarchy : FindCgroups(root, "memory")) {
    const char* file =
        hierarchy.version == CgroupVersion::kV2 ? "/memory.max" : "/memory.limit_in_bytes";
    for (const std::string& directory : hierarchy.directories) {
      const auto line = ReadFirstLine(directory + file);
      const auto limit = line ? ParseInteger(*line) : std::nullopt;
      if (limit && *limit < kUnlimitedBytes) tightest = TighterLimit(tightest, *limit);
    }
  }
  return tightest;
}

MachineLimits ReadMachineLimits(const std::string& root) {
  return {CountCpus(root), ReadQuota(root), ReadMemoryLimit(root)};
}

int64_t ThreadCount(const MachineLimits& limits) {
  int64_t threads = limits.cpus;
  if (limits.cpu_quota > 0) {
    threads = std::min(threads, static_cast<int64_t>(std::ceil(limits.cpu_quota)));
  }
  return std::max<int64_t>(1, threads);
}

int64_t TighterLimit(int64_t a, int64_t b) {
  if (a <= 0) return std::max<int64_t>(0, b);
  return b <= 0 ? a : std::min(a, b);
}

int64_t ResidentBytes(const std::string& root) {
  return KilobyteField(root + "/proc/self/status", "VmRSS");
}

int64_t PeakResidentBytes(const std::string& root) {
  return KilobyteField(root + "/proc/self/status", "VmHWM");
}

int64_t ResidentFileBytes(const std::string& root) {
  return KilobyteField(root + "/proc/self/status", "RssFile");
}

bool ResetPeakResidentBytes(const std::string& root) {
  std::ofstream out(root + "/proc/self/clear_refs");
  out << "5" << std::flush;  // proc(5): resets the peak resident set size
  return out.good();
}

int64_t CgroupMemoryBytes(const std::string& root) {
  for (const CgroupHierarchy& hierarchy : FindCgroups(root, "memory")) {
    const char* file =
        hierarchy.version == CgroupVersion::kV2 ? "/memory.current" : "/memory.usage_in_bytes";
    const auto line = ReadFirstLine(hierarchy.directories.front() + file);
    const auto used = line ? ParseInteger(*line) : std::nullopt;
    if (used) return *used;
  }
  return 0;
}

std::string CpuName(const std::string& root) {
  const std::string path = root + "/proc/cpuinfo";
  for (const char* name : {"model name", "Model", "cpu model"}) {  // x86, many ARM boards, MIPS
    if (auto text = TextField(path, name)) return *text;
  }
  return "unknown CPU";
}

}  // namespace longstride
