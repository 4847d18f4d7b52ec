// Memory of this process that is in RAM, for reports.
#pragma once

#include <cstdint>

namespace longstride {

// Bytes, from /proc/self/statm; 0 if it cannot be read.
[[nodiscard]] int64_t ResidentMemory();

}  // namespace longstride
