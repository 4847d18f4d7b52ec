// Numbers as people read them, in one place so that tables, logs and messages agree.
#pragma once

#include <cstdint>
#include <string>

namespace longstride {

// 1234567 -> "1,234,567".
[[nodiscard]] std::string FormatCount(int64_t n);
// Bytes in decimal units, three significant digits: 37400000 -> "37.4 MB".
[[nodiscard]] std::string FormatBytes(double bytes);
// Seconds: 0.0123 -> "12.3 ms", 75 -> "1m15s", 3725 -> "1h02m".
[[nodiscard]] std::string FormatSeconds(double seconds);
// printf into a string.
[[nodiscard]] std::string Format(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace longstride
