#include "core/schedule/sums.h"

#include <cstddef>

namespace longstride {
namespace {

constexpr size_t kLanes = 8;

template <typename T>
double Accumulate(std::span<const T> x, std::span<const T> y) {
  double lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= x.size(); i += kLanes) {
    for (size_t l = 0; l < kLanes; ++l) {
      lanes[l] += static_cast<double>(x[i + l]) * static_cast<double>(y[i + l]);
    }
  }
  for (size_t l = 0; i < x.size(); ++i, ++l) {
    lanes[l] += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  }
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t l = 0; l < width; ++l) lanes[l] += lanes[l + width];
  }
  return lanes[0];
}

}  // namespace

double SquaredNorm(std::span<const float> x) {
  return Accumulate(x, x);
}
double SquaredNorm(std::span<const double> x) {
  return Accumulate(x, x);
}
double InnerProduct(std::span<const float> x, std::span<const float> y) {
  return Accumulate(x, y);
}
double InnerProduct(std::span<const double> x, std::span<const double> y) {
  return Accumulate(x, y);
}

}  // namespace longstride
