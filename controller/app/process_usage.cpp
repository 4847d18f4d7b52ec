#include "controller/app/process_usage.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

namespace longstride {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

// proc(5): the kernel's boot in Unix seconds, and the process' start in ticks after it.
std::optional<double> StartTime() {
  std::ifstream machine("/proc/stat");
  std::string word;
  while (machine >> word && word != "btime") {
  }
  double boot = 0;
  if (!(machine >> boot)) return std::nullopt;
  std::ifstream process("/proc/self/stat");
  std::string line;
  std::getline(process, line);
  // The second field is a name in parentheses, with whatever is in it; the 22nd is the start.
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  for (int field = 3; field < 22; ++field) fields >> word;
  double ticks = 0;
  if (!(fields >> ticks)) return std::nullopt;
  return boot + ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
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
  // Once: the boot in Unix time moves with the clock, and a start that moves reads as a restart.
  static const std::optional<double> kStart = StartTime();
  usage.start_time = kStart;
  return usage;
}

}  // namespace longstride
