#include "core/schedule/position_ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/core/schedule/seeds.h"

namespace longstride {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PositionRanges, SliceCutsTheSequenceThatTheyMake) {
  const std::vector<PositionRange> ranges{{10, 13}, {20, 20}, {30, 40}};
  EXPECT_THAT(Slice(ranges, 0, 3), ElementsAre(PositionRange{10, 13}));
  EXPECT_THAT(Slice(ranges, 2, 3), ElementsAre(PositionRange{12, 13}, PositionRange{30, 32}));
  EXPECT_THAT(Slice(ranges, 5, 100), ElementsAre(PositionRange{32, 40}));
  EXPECT_THAT(Slice(ranges, 13, 1), IsEmpty());
  EXPECT_THAT(Slice(ranges, 0, 0), IsEmpty());
}

TEST(PositionSet, BehavesAsASetOfIntegers) {
  ForEachSeed(200, [](Random& random) {
    PositionSet set;
    std::set<int64_t> model;
    for (int operation = 0; operation < 60; ++operation) {
      const int64_t begin = Between(random, 0, 50);
      const PositionRange range{begin, begin + Between(random, 0, 8)};
      bool all = true;
      bool any = false;
      for (int64_t p = range.begin; p < range.end; ++p) {
        (model.count(p) != 0 ? any : all) = model.count(p) != 0;
      }
      ASSERT_EQ(set.Contains(range), all);
      ASSERT_EQ(set.Intersects(range), any);
      const bool add = random.NextBelow(3) != 0;
      add ? set.Add(range) : set.Remove(range);
      for (int64_t p = range.begin; p < range.end; ++p) {
        if (add) model.insert(p);
        if (!add) model.erase(p);
      }
      ASSERT_EQ(set.size(), static_cast<int64_t>(model.size()));
      ASSERT_EQ(set.empty(), model.empty());
      int64_t last = -1;
      for (const PositionRange& r : set.ranges()) {
        ASSERT_GT(r.begin, last);  // sorted, and not adjacent to the one before
        ASSERT_GT(r.size(), 0);
        for (int64_t p = r.begin; p < r.end; ++p) ASSERT_EQ(model.count(p), 1U);
        last = r.end;
      }
    }
  });
}

}  // namespace
}  // namespace longstride
