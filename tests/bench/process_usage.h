// What a process has used so far, from /proc. For benchmarks.
#pragma once

#include <sys/types.h>

namespace longstride {

struct Usage {
  double cpu_seconds = 0;  // of all its threads, user and system
  double resident_bytes = 0;
  double peak_resident_bytes = 0;
};

// Zeros when there is no such process.
[[nodiscard]] Usage UsageOf(pid_t pid);

}  // namespace longstride
