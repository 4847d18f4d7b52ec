// What this process may use of the machine: CPUs, and memory before it is killed. Read from /proc
// and the control groups below `root`: "/" on a machine, a fixture tree in a test. A file that is
// missing sets no limit.
#pragma once

#include <cstdint>
#include <string>

namespace longstride {

struct MachineLimits {
  int64_t cpus = 1;                // CPUs that the affinity mask and the cpusets leave
  double cpu_quota = 0;            // CPU seconds per second; 0 = no quota
  int64_t memory_limit_bytes = 0;  // the tightest of machine and control groups; 0 = not known
};

[[nodiscard]] MachineLimits ReadMachineLimits(const std::string& root = "/");

// Its memory_limit_bytes alone, which may change while the process runs.
[[nodiscard]] int64_t ReadMemoryLimit(const std::string& root = "/");

// Threads for compute: never more than the CPUs, and under a quota q at most ceil(q), because
// threads beyond it are throttled in turns and wait for each other at every barrier. At least 1.
[[nodiscard]] int64_t ThreadCount(const MachineLimits& limits);

// The tighter of two memory limits in bytes, where 0 means none.
[[nodiscard]] int64_t TighterLimit(int64_t a, int64_t b);

// Bytes of physical memory that this process holds now, and the most it ever held (VmRSS, VmHWM).
// 0 where the kernel does not say.
[[nodiscard]] int64_t ResidentBytes(const std::string& root = "/");
[[nodiscard]] int64_t PeakResidentBytes(const std::string& root = "/");

// The part of ResidentBytes that are pages of files, such as libraries: the kernel takes them back
// before it kills anybody.
[[nodiscard]] int64_t ResidentFileBytes(const std::string& root = "/");

// Makes PeakResidentBytes start anew from what is held now. False where the kernel has no such
// switch.
bool ResetPeakResidentBytes(const std::string& root = "/");

// Bytes charged to this process's memory control group, page cache included; 0 if there is none.
[[nodiscard]] int64_t CgroupMemoryBytes(const std::string& root = "/");

// "AMD EPYC 7763 64-Core Processor"; "unknown CPU" where /proc/cpuinfo has no name.
[[nodiscard]] std::string CpuName(const std::string& root = "/");

}  // namespace longstride
