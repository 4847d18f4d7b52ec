#include "core/base/timestamps.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>

#include "core/base/format.h"

namespace longstride {
namespace {

std::tm Utc(int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  gmtime_r(&time, &parts);
  return parts;
}

std::string DateAndTime(int64_t seconds) {
  const std::tm t = Utc(seconds);
  return Format("%04d-%02d-%02dT%02d:%02d:%02d", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
                t.tm_hour, t.tm_min, t.tm_sec);
}

}  // namespace

std::string FormatTime(double unix_seconds) {
  return DateAndTime(static_cast<int64_t>(std::floor(unix_seconds))) + "Z";
}

std::string FormatMicroTime(double unix_seconds) {
  const auto micros = static_cast<int64_t>(std::floor(unix_seconds * 1e6));
  const int64_t rest = ((micros % 1000000) + 1000000) % 1000000;
  return Format("%s.%06lldZ", DateAndTime((micros - rest) / 1000000).c_str(),
                static_cast<long long>(rest));
}

std::optional<double> ParseTime(std::string_view text) {
  const std::string copy(text);
  std::tm t{};
  int used = 0;
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday,
                  &t.tm_hour, &t.tm_min, &t.tm_sec, &used) != 6) {
    return std::nullopt;
  }
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  double seconds = static_cast<double>(timegm(&t));
  std::string_view rest = std::string_view(copy).substr(static_cast<size_t>(used));
  if (!rest.empty() && rest[0] == '.') {
    rest.remove_prefix(1);
    double unit = 0.1;
    for (; !rest.empty() && rest[0] >= '0' && rest[0] <= '9'; rest.remove_prefix(1), unit /= 10) {
      seconds += unit * (rest[0] - '0');
    }
  }
  if (rest == "Z") return seconds;
  char sign = 0;
  int hours = 0;
  int minutes = 0;
  if (std::sscanf(std::string(rest).c_str(), "%c%2d:%2d", &sign, &hours, &minutes) != 3 ||
      (sign != '+' && sign != '-')) {
    return std::nullopt;
  }
  return seconds - (sign == '+' ? 1 : -1) * (hours * 3600 + minutes * 60);
}

}  // namespace longstride
