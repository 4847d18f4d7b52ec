// Squared norms and inner products of gradients, accumulated in fp64 in one fixed order: eight
// interleaved partial sums, added pairwise at the end. The result depends on the values and their
// number only, never on the CPU, so ranks that hold equal data get equal bits. Not-a-number and
// infinity pass through. Pure; thread-safe.
#pragma once

#include <span>

namespace longstride {

// sum of x_i^2.
[[nodiscard]] double SquaredNorm(std::span<const float> x);
[[nodiscard]] double SquaredNorm(std::span<const double> x);

// sum of x_i * y_i; x.size() == y.size().
[[nodiscard]] double InnerProduct(std::span<const float> x, std::span<const float> y);
[[nodiscard]] double InnerProduct(std::span<const double> x, std::span<const double> y);

}  // namespace longstride
