// Initial parameters from our own generator instead of ATen's: the draws use only integer
// arithmetic and + - x / sqrt, so the same seed gives the same bits on every CPU.
#pragma once

#include <span>

#include "core/base/random.h"

namespace longstride {

// Uniform in [-bound, bound).
void FillUniform(Random& random, double bound, std::span<float> out);
void FillUniform(Random& random, double bound, std::span<double> out);

// One standard normal deviate, exact up to the 53 bits of a uniform one, from comparisons alone
// [Karney 2016, "Sampling exactly from the normal distribution", algorithm N].
[[nodiscard]] double DrawNormal(Random& random);

// Normal with mean 0 and the given standard deviation.
void FillNormal(Random& random, double deviation, std::span<float> out);
void FillNormal(Random& random, double deviation, std::span<double> out);

}  // namespace longstride
