#include "core/schedule/ordinary_workers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/random.h"
#include "tests/core/schedule/seeds.h"

namespace longstride {
namespace {

using ::testing::ElementsAre;

std::vector<bool> Ordinary(const std::vector<std::vector<double>>& sketches,
                           std::vector<bool> present = {}) {
  present.resize(sketches.size(), true);
  return OrdinaryWorkers({sketches.begin(), sketches.end()}, present);
}

std::vector<double> Sketch(Random& random, double mean, double noise) {
  std::vector<double> sketch(64);
  for (double& x : sketch) x = mean + noise * random.NextNormal();
  return sketch;
}

TEST(OrdinaryWorkers, LeavesOutTheOneThatIsFarOff) {
  ForEachSeed(100, [](Random& random) {
    for (const size_t bad : {0, 2, 3}) {
      std::vector<std::vector<double>> sketches;
      for (int m = 0; m < 4; ++m) sketches.push_back(Sketch(random, 1, 1));
      sketches[bad] = Sketch(random, -5, 1);
      std::vector<bool> expected(4, true);
      expected[bad] = false;
      ASSERT_EQ(Ordinary(sketches), expected);
    }
  });
}

TEST(OrdinaryWorkers, KeepsAllWhereWorkersAreAlike) {
  ForEachSeed(200, [](Random& random) {
    for (const int workers : {3, 4, 5, 9}) {
      std::vector<std::vector<double>> sketches;
      for (int m = 0; m < workers; ++m) sketches.push_back(Sketch(random, 0.1, 1));
      ASSERT_EQ(Ordinary(sketches), std::vector<bool>(sketches.size(), true));
    }
  });
}

TEST(OrdinaryWorkers, AlwaysKeepsHalf) {
  EXPECT_THAT(Ordinary({{0}, {0}, {1e9}, {-1e9}}), ElementsAre(true, true, false, false));
  EXPECT_THAT(Ordinary({{5}, {5}, {5}}), ElementsAre(true, true, true));
}

TEST(OrdinaryWorkers, WhoHasNoSketchIsNotAskedAndNotOrdinary) {
  EXPECT_THAT(Ordinary({{1}, {1.1}, {0.9}, {1}, {50}}, {true, true, true, false, true}),
              ElementsAre(true, true, true, false, false));
}

TEST(OrdinaryWorkers, TwoCannotOutvoteEachOther) {
  EXPECT_THAT(Ordinary({{0}, {1e9}}), ElementsAre(true, true));
  EXPECT_THAT(Ordinary({{0}, {1e9}, {7}}, {true, true, false}), ElementsAre(true, true, false));
}

}  // namespace
}  // namespace longstride
