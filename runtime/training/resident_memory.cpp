#include "runtime/training/resident_memory.h"

#include <unistd.h>

#include <fstream>

namespace longstride {

int64_t ResidentMemory() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0, resident = 0;
  if (!(file >> total >> resident)) return 0;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace longstride
