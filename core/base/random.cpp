#include "core/base/random.h"

#include <cmath>
#include <numbers>

namespace longstride {

uint64_t Random::NextBelow(uint64_t n) {
  const uint64_t limit = UINT64_MAX - (UINT64_MAX % n + 1) % n;
  uint64_t word = NextWord();
  while (word > limit) word = NextWord();
  return word % n;
}

double Random::NextNormal() {
  const double u = 1.0 - NextUniform();  // in (0, 1]
  const double v = NextUniform();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace longstride
