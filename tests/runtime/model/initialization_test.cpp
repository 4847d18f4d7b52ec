#include "runtime/model/initialization.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace longstride {
namespace {

constexpr uint64_t kSeed = 20261124;

TEST(Initialization, NormalDeviatesFollowTheNormalDistribution) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  SeededRandom random(kSeed);
  std::vector<double> x(200000);
  for (double& value : x) value = DrawNormal(random);
  std::sort(x.begin(), x.end());
  double distance = 0;  // Kolmogorov-Smirnov
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = 0.5 * std::erfc(-x[i] / std::numbers::sqrt2);
    distance = std::max(distance, std::abs(expected - (static_cast<double>(i) + 0.5) /
                                                          static_cast<double>(x.size())));
  }
  EXPECT_LT(distance * std::sqrt(static_cast<double>(x.size())), 1.63);  // 1 % level
}

TEST(Initialization, NormalDeviatesReachTheTails) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  SeededRandom random(kSeed);
  int beyond = 0;
  for (int i = 0; i < 1000000; ++i) beyond += std::abs(DrawNormal(random)) > 3.0 ? 1 : 0;
  EXPECT_NEAR(beyond, 2700, 5 * std::sqrt(2700.0));
}

TEST(Initialization, TheFirstDrawsNeverChange) {
  // A run is reproduced from its seed, so these values are a promise.
  SeededRandom random(1);
  std::vector<double> x(3);
  FillUniform(random, 0.5, x);
  EXPECT_EQ(x[0], 0x1.10a2dec890258p-4);
  EXPECT_EQ(x[1], 0x1.f75c6d0b2c774p-3);
  EXPECT_EQ(x[2], 0x1.e24e8bbbecc94p-2);
}

TEST(Initialization, UniformStaysInsideItsBound) {
  SeededRandom random(kSeed);
  std::vector<double> x(100000);
  FillUniform(random, 0.25, x);
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  EXPECT_GE(*low, -0.25);
  EXPECT_LT(*high, 0.25);
  EXPECT_LT(*low, -0.2499);
  EXPECT_GT(*high, 0.2499);
}

TEST(Initialization, SinglePrecisionIsTheRoundedDoublePrecision) {
  SeededRandom a(kSeed);
  SeededRandom b(kSeed);
  std::vector<double> wide(100);
  std::vector<float> narrow(100);
  FillNormal(a, 0.02, wide);
  FillNormal(b, 0.02, narrow);
  for (size_t i = 0; i < wide.size(); ++i) EXPECT_EQ(narrow[i], static_cast<float>(wide[i]));
}

}  // namespace
}  // namespace longstride
