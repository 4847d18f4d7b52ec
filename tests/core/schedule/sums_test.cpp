#include "core/schedule/sums.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/core/schedule/seeds.h"

namespace longstride {
namespace {

TEST(Sums, AgreeWithTheDefinition) {
  ForEachSeed(50, [](Random& random) {
    const size_t n = random.NextBelow(100);
    const std::vector<double> x = NormalVector(random, n, 1);
    const std::vector<double> y = NormalVector(random, n, 1);
    long double product = 0;
    for (size_t i = 0; i < n; ++i) product += static_cast<long double>(x[i]) * y[i];
    EXPECT_NEAR(InnerProduct(std::span<const double>(x), y), static_cast<double>(product), 1e-13);
    EXPECT_EQ(SquaredNorm(std::span<const double>(x)), InnerProduct(std::span<const double>(x), x));
  });
}

TEST(Sums, FloatsAreAccumulatedInDouble) {
  // In fp32 a sum of ones stops growing at 2^24.
  const std::vector<float> ones((1 << 24) + 100, 1.0F);
  EXPECT_EQ(SquaredNorm(std::span<const float>(ones)), (1 << 24) + 100);
  EXPECT_EQ(InnerProduct(std::span<const float>(ones), ones), (1 << 24) + 100);
}

TEST(Sums, NonFiniteValuesPassThrough) {
  std::vector<float> x(20, 1.0F);
  x[17] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(SquaredNorm(std::span<const float>(x))));
  x[17] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(SquaredNorm(std::span<const float>(x))));
}

}  // namespace
}  // namespace longstride
