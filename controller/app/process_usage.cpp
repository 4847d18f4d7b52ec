#include "controller/app/process_usage.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace longstride {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

}  // namespace

ProcessUsage ReadProcessUsage() {
  ProcessUsage usage;
  std::ifstream statm("/proc/self/statm");
  int64_t total_pages = 0;
  int64_t resident_pages = 0;
  if (statm >> total_pages >> resident_pages)
    usage.resident_bytes = resident_pages * sysconf(_SC_PAGESIZE);
  rusage used{};
  if (getrusage(RUSAGE_SELF, &used) == 0)
    usage.cpu_seconds = Seconds(used.ru_utime) + Seconds(used.ru_stime);
  return usage;
}

}  // namespace longstride
