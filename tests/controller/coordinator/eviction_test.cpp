#include "controller/coordinator/eviction.h"

#include <gmock/gmock.h>

namespace longstride {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Cuts = std::vector<std::pair<int64_t, int64_t>>;

TEST(FewestToEvict, NobodyWhenAllHearEachOther) {
  EXPECT_THAT(FewestToEvict(Cuts{}), IsEmpty());
}

TEST(FewestToEvict, OfTwoTheHigherRankGoesWhoeverReports) {
  EXPECT_THAT(FewestToEvict(Cuts{{0, 3}}), ElementsAre(3));
  EXPECT_THAT(FewestToEvict(Cuts{{3, 0}, {0, 3}}), ElementsAre(3));
}

TEST(FewestToEvict, OneThatNobodyHearsGoesAloneWhateverItsRank) {
  EXPECT_THAT(FewestToEvict(Cuts{{0, 1}, {0, 2}, {0, 3}}), ElementsAre(0));
  EXPECT_THAT(FewestToEvict(Cuts{{1, 0}, {2, 0}, {0, 3}, {2, 3}}), ElementsAre(0, 3));
}

TEST(FewestToEvict, OfTwoHalvesTheSmallerGoes) {
  EXPECT_THAT(FewestToEvict(Cuts{{0, 2}, {0, 3}, {0, 4}, {1, 2}, {1, 3}, {1, 4}}),
              ElementsAre(0, 1));
  EXPECT_THAT(FewestToEvict(Cuts{{0, 2}, {0, 3}, {1, 2}, {1, 3}}), ElementsAre(2, 3));
}

TEST(FewestToEvict, SeparateCutsCostOneEach) {
  EXPECT_THAT(FewestToEvict(Cuts{{0, 1}, {2, 3}, {4, 5}}), ElementsAre(1, 3, 5));
}

// All pairs of two halves: too many to search, and still each cut is explained.
TEST(FewestToEvict, ManyCutsAreExplainedToo) {
  Cuts cuts;
  for (int64_t a = 0; a < 20; ++a) {
    for (int64_t b = 20; b < 50; ++b) cuts.emplace_back(a, b);
  }
  const std::vector<int64_t> evicted = FewestToEvict(cuts);
  EXPECT_EQ(evicted.size(), 20u);
  EXPECT_EQ(evicted.back(), 19);
}

}  // namespace
}  // namespace longstride
