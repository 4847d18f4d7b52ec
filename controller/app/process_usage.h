// What this process takes of its machine.
#pragma once

#include <cstdint>
#include <optional>

namespace longstride {

struct ProcessUsage {
  std::optional<int64_t> resident_bytes;  // absent where /proc does not say
  double cpu_seconds = 0;                 // of all threads, in user and kernel mode
  std::optional<double> start_time;       // Unix seconds; absent where /proc does not say
};

[[nodiscard]] ProcessUsage ReadProcessUsage();

}  // namespace longstride
