#include "core/base/format.h"

#include <cmath>
#include <cstdarg>
#include <cstdio>

namespace longstride {

std::string Format(const char* format, ...) {
  va_list args;
  va_start(args, format);
  va_list again;
  va_copy(again, args);
  const int size = std::vsnprintf(nullptr, 0, format, args);
  va_end(args);
  std::string out(size > 0 ? static_cast<size_t>(size) : 0, '\0');
  std::vsnprintf(out.data(), out.size() + 1, format, again);
  va_end(again);
  return out;
}

std::string FormatCount(int64_t n) {
  std::string digits = std::to_string(n);
  const size_t first = digits[0] == '-' ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string FormatBytes(double bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  int unit = 0;
  while (bytes >= 999.5 && unit < 4) {
    bytes /= 1000;
    ++unit;
  }
  if (unit == 0) return Format("%.0f B", bytes);
  return Format(bytes < 9.995   ? "%.2f %s"
                : bytes < 99.95 ? "%.1f %s"
                                : "%.0f %s",
                bytes, units[unit]);
}

std::string FormatSeconds(double s) {
  if (s < 0.001) return Format("%.0f µs", s * 1e6);
  if (s < 1) return Format("%.1f ms", s * 1e3);
  if (s < 60) return Format("%.1f s", s);
  const int64_t total = std::llround(s);
  if (total < 3600)
    return Format("%dm%02ds", static_cast<int>(total / 60), static_cast<int>(total % 60));
  return Format("%dh%02dm", static_cast<int>(total / 3600), static_cast<int>(total % 3600 / 60));
}

}  // namespace longstride
