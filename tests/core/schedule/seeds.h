// Seeds for property tests, and what they draw. A failing case names its seed.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "core/base/random.h"

namespace longstride {

// Runs `property(random)` for seeds 1, 2, ..., count.
template <typename Property>
void ForEachSeed(uint64_t count, Property property) {
  for (uint64_t seed = 1; seed <= count; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    SeededRandom random(seed);
    property(random);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

// Uniform in [low, high].
inline int64_t Between(Random& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random.NextBelow(static_cast<uint64_t>(high - low + 1)));
}

inline std::vector<double> NormalVector(Random& random, size_t size, double deviation) {
  std::vector<double> x(size);
  for (double& v : x) v = deviation * random.NextNormal();
  return x;
}

// Mean and standard deviation of a sequence.
class Moments {
 public:
  void Add(double x) {
    ++count_;
    const double delta = x - mean_;
    mean_ += delta / count_;
    squares_ += delta * (x - mean_);
  }
  [[nodiscard]] double mean() const { return mean_; }
  [[nodiscard]] double variance() const { return squares_ / (count_ - 1); }

 private:
  double count_ = 0;
  double mean_ = 0;
  double squares_ = 0;
};

}  // namespace longstride
