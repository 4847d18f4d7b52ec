#include "runtime/model/initialization.h"

#include <cstdint>

namespace longstride {
namespace {

constexpr double kExpMinusHalf = 0.60653065971263342;  // e^(-1/2)

// True with probability e^(-x), 0 <= x <= 1: the length of a decreasing run of uniforms that starts
// below x is even [von Neumann 1951].
bool BernoulliExp(Random& random, double x) {
  bool even = true;
  double previous = x;
  for (;;) {
    const double next = random.NextUniform();
    if (next >= previous) return even;
    previous = next;
    even = !even;
  }
}

template <typename T>
void Uniform(Random& random, double bound, std::span<T> out) {
  for (T& value : out) value = static_cast<T>((2.0 * random.NextUniform() - 1.0) * bound);
}

template <typename T>
void Normal(Random& random, double deviation, std::span<T> out) {
  for (T& value : out) value = static_cast<T>(DrawNormal(random) * deviation);
}

}  // namespace

double DrawNormal(Random& random) {
  for (;;) {
    // The integer part k has probability proportional to e^(-k^2/2) = e^(-k/2) e^(-k(k-1)/2).
    int64_t k = 0;
    while (random.NextUniform() < kExpMinusHalf) ++k;
    bool accepted = true;
    for (int64_t i = 0; accepted && i < k * (k - 1); ++i) {
      accepted = random.NextUniform() < kExpMinusHalf;
    }
    if (!accepted) continue;
    // The fraction x is kept with probability e^(-x(2k+x)/2), as a product of k+1 equal factors.
    const double x = random.NextUniform();
    const double exponent =
        x * (2.0 * static_cast<double>(k) + x) / (2.0 * static_cast<double>(k) + 2.0);
    for (int64_t i = 0; accepted && i <= k; ++i) accepted = BernoulliExp(random, exponent);
    if (!accepted) continue;
    const double magnitude = static_cast<double>(k) + x;
    return (random.NextWord() & 1) != 0 ? magnitude : -magnitude;
  }
}

void FillUniform(Random& random, double bound, std::span<float> out) {
  Uniform(random, bound, out);
}
void FillUniform(Random& random, double bound, std::span<double> out) {
  Uniform(random, bound, out);
}
void FillNormal(Random& random, double deviation, std::span<float> out) {
  Normal(random, deviation, out);
}
void FillNormal(Random& random, double deviation, std::span<double> out) {
  Normal(random, deviation, out);
}

}  // namespace longstride
