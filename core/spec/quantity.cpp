#include "core/spec/quantity.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "core/spec/fault.h"

namespace longstride {
namespace {

constexpr std::array<std::pair<std::string_view, double>, 13> kSuffixes{{
    {"", 1},
    {"k", 1e3},
    {"M", 1e6},
    {"G", 1e9},
    {"T", 1e12},
    {"P", 1e15},
    {"E", 1e18},
    {"Ki", 0x1p10},
    {"Mi", 0x1p20},
    {"Gi", 0x1p30},
    {"Ti", 0x1p40},
    {"Pi", 0x1p50},
    {"Ei", 0x1p60},
}};

}  // namespace

Result<int64_t> ParseQuantity(std::string_view text) {
  const std::string shown = Shorten(text, 40);
  const Error malformed =
      UserError("\"" + shown + "\" is not a quantity of bytes, as 2Gi, 512M or 1073741824");
  if (text.empty() || !((text[0] >= '0' && text[0] <= '9') || text[0] == '.')) return malformed;
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || !std::isfinite(number)) return malformed;
  const std::string_view suffix(rest, static_cast<size_t>(end - rest));
  if (suffix == "m") return UserError("\"" + shown + "\" is in thousandths of a byte; use M or Mi");
  for (const auto& [name, factor] : kSuffixes) {
    if (suffix != name) continue;
    const double bytes = std::ceil(number * factor);
    if (bytes > 0x1p53) return UserError("\"" + shown + "\" is more than 8Pi");
    return static_cast<int64_t>(bytes);
  }
  return malformed;
}

std::string FormatQuantity(int64_t bytes) {
  static constexpr std::array<const char*, 6> kBinary{"", "Ki", "Mi", "Gi", "Ti", "Pi"};
  size_t power = 0;
  while (bytes > 0 && bytes % 1024 == 0 && power + 1 < kBinary.size()) {
    bytes /= 1024;
    ++power;
  }
  return std::to_string(bytes) + kBinary[power];
}

}  // namespace longstride
