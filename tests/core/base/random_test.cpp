#include "core/base/random.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace longstride {
namespace {

TEST(Random, SequenceIsFixedBySeed) {
  SeededRandom a(7), b(7), c(8);
  EXPECT_EQ(a.NextWord(), b.NextWord());
  EXPECT_NE(a.NextWord(), c.NextWord());
}

TEST(Random, HashDependsOnOrderAndEveryWord) {
  EXPECT_EQ(Hash64(1, 2, 3), Hash64(1, 2, 3));
  EXPECT_NE(Hash64(1, 2, 3), Hash64(1, 3, 2));
  EXPECT_NE(Hash64(1, 2, 3), Hash64(1, 2));
}

TEST(Random, BelowIsUniform) {
  SeededRandom r(1);
  std::array<int, 3> counts{};
  for (int i = 0; i < 30000; ++i) ++counts[r.NextBelow(3)];
  for (int c : counts) EXPECT_NEAR(c, 10000, 400);
}

TEST(Random, NormalHasUnitVariance) {
  SeededRandom r(2);
  double sum = 0, squares = 0;
  constexpr int n = 100000;
  for (int i = 0; i < n; ++i) {
    const double x = r.NextNormal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / n, 0, 0.02);
  EXPECT_NEAR(squares / n, 1, 0.02);
}

}  // namespace
}  // namespace longstride
