// Whether the kernel killed a process because its memory control group was full. A process that
// ended by SIGKILL does not show who sent it, but its group counts what the kernel killed for want
// of memory: `oom_kill` in memory.events (cgroup v2) or memory.oom_control (v1). Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace longstride {

class MemoryKillWatch {
 public:
  explicit MemoryKillWatch(std::string root = "/") : root_(std::move(root)) {}

  // Sees which group a living process is in, as an ended one does not show it. Call it time and
  // again: a process may be moved after it was started.
  void Look(int pid);

  // Of a process that has ended, by SIGKILL or not: true if its group counts a kill that was not
  // put down to another process before. False where nothing counts, or the process was never
  // looked at. Forgets the process.
  [[nodiscard]] bool WasKilled(int pid, bool by_sigkill);

 private:
  std::string root_;
  std::map<int, std::string> counters_;        // by process: the file that counts
  std::map<std::string, int64_t> attributed_;  // by file: kills that are accounted for
};

}  // namespace longstride
