#include "tests/bench/process_usage.h"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

namespace longstride {

Usage UsageOf(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  Usage usage;
  std::string text;
  std::ifstream stat(folder + "/stat");
  if (!std::getline(stat, text)) return usage;
  std::istringstream fields(text.substr(text.rfind(')') + 2));  // the name may hold spaces
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  usage.cpu_seconds = (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  std::ifstream status(folder + "/status");
  while (std::getline(status, text)) {
    std::istringstream line(text);
    std::string name;
    double kibibytes = 0;
    line >> name >> kibibytes;
    if (name == "VmRSS:") usage.resident_bytes = 1024 * kibibytes;
    if (name == "VmHWM:") usage.peak_resident_bytes = 1024 * kibibytes;
  }
  return usage;
}

}  // namespace longstride
