#include "core/schedule/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/schedule/sample_order.h"
#include "tests/core/schedule/seeds.h"

namespace longstride {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Ledger, HolesAreReadFirst) {
  Ledger ledger;
  EXPECT_THAT(ledger.Next(10), ElementsAre(PositionRange{0, 10}));
  ASSERT_TRUE(ledger.Record({{{0, 4}}, {{4, 6}}, {{6, 10}}}).ok());
  EXPECT_EQ(ledger.cursor(), 10);
  EXPECT_THAT(ledger.Next(3), ElementsAre(PositionRange{6, 9}));
  EXPECT_THAT(ledger.Next(6), ElementsAre(PositionRange{6, 10}, PositionRange{10, 12}));
  ASSERT_TRUE(ledger.Record({{{6, 10}, {10, 12}}, {}, {}}).ok());
  EXPECT_THAT(ledger.committed().ranges(), ElementsAre(PositionRange{0, 4}, PositionRange{6, 12}));
  EXPECT_THAT(ledger.discarded().ranges(), ElementsAre(PositionRange{4, 6}));
  EXPECT_TRUE(ledger.holes().empty());
}

TEST(Ledger, RefusesWhatBreaksTheLawAndStaysAsItWas) {
  Ledger ledger;
  ASSERT_TRUE(ledger.Record({{{0, 6}}, {}, {{6, 10}}}).ok());
  const auto expect_refused = [&](const RoundPositions& round, const char* says) {
    const Status status = ledger.Record(round);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kBug);
    EXPECT_THAT(status.error().message, HasSubstr(says));
    EXPECT_EQ(ledger.cursor(), 10);
    EXPECT_EQ(ledger.committed().size(), 6);
    EXPECT_EQ(ledger.holes().size(), 4);
    EXPECT_TRUE(ledger.Check().ok());
  };
  expect_refused({{{0, 2}}, {}, {}}, "earlier round");
  expect_refused({{{5, 8}}, {}, {}}, "earlier round");
  expect_refused({{{11, 12}}, {}, {}}, "position 10 was skipped");
  expect_refused({{{10, 12}, {13, 14}}, {}, {}}, "position 12 was skipped");
  expect_refused({{{10, 12}}, {{11, 13}}, {}}, "booked twice");
  expect_refused({{{12, 10}}, {}, {}}, "not a range");
  expect_refused({{{-1, 1}}, {}, {}}, "not a range");
}

TEST(Ledger, SurvivesACheckpoint) {
  Ledger ledger;
  ASSERT_TRUE(ledger.Record({{{0, 6}}, {{6, 8}}, {{8, 10}}}).ok());
  const Result<Ledger> restored =
      Ledger::Restore(ledger.cursors(), ledger.discarded().ranges(), ledger.holes().ranges());
  ASSERT_TRUE(restored.ok());
  EXPECT_EQ(restored->cursor(), 10);
  EXPECT_EQ(restored->committed(), ledger.committed());
  EXPECT_EQ(restored->discarded(), ledger.discarded());
  EXPECT_EQ(restored->holes(), ledger.holes());
  EXPECT_TRUE(restored->Check().ok());
}

TEST(Ledger, RefusesABrokenCheckpoint) {
  EXPECT_EQ(Ledger::Restore({{0, -1}}, {}, {}).error().code, ErrorCode::kData);
  EXPECT_EQ(Ledger::Restore({{0, 10}}, {{8, 11}}, {}).error().code, ErrorCode::kData);
  EXPECT_EQ(Ledger::Restore({{0, 10}}, {{0, 5}}, {{4, 6}}).error().code, ErrorCode::kData);
  EXPECT_EQ(Ledger::Restore({{kMaxShards, 10}}, {}, {}).error().code, ErrorCode::kData);
  EXPECT_EQ(Ledger::Restore({{0, 10}, {1, 10}}, {{10, 11}}, {}).error().code, ErrorCode::kData);
}

TEST(Ledger, EveryShardHasItsOwnCursorAndHoles) {
  Ledger ledger;
  const int64_t one = ShardBegin(1), seven = ShardBegin(7);
  EXPECT_THAT(ledger.Next(4, 7), ElementsAre(PositionRange{seven, seven + 4}));
  ASSERT_TRUE(ledger.Record({{{one, one + 8}}, {}, {{seven, seven + 4}}}).ok());
  EXPECT_EQ(ledger.cursor(), 12);
  EXPECT_EQ(ledger.cursors(), (ShardCursors{{1, 8}, {7, 4}}));
  EXPECT_THAT(ledger.Next(2, 1), ElementsAre(PositionRange{one + 8, one + 10}))
      << "shard 7's holes are not shard 1's";
  EXPECT_THAT(ledger.Next(6, 7),
              ElementsAre(PositionRange{seven, seven + 4}, PositionRange{seven + 4, seven + 6}));
  EXPECT_TRUE(ledger.HolesOf(1).empty());
  EXPECT_TRUE(ledger.Check().ok());
  const auto refused = [&](PositionRange range) { return !ledger.Record({{range}, {}, {}}).ok(); };
  EXPECT_TRUE(refused({one + 9, one + 10})) << "a gap";
  EXPECT_TRUE(refused({one, one + 9})) << "read already";
  EXPECT_TRUE(refused({8, 9})) << "shard 0 has not begun";
  const Result<Ledger> restored = Ledger::Restore(ledger.cursors(), {}, ledger.holes().ranges());
  ASSERT_TRUE(restored.ok());
  EXPECT_EQ(restored->committed(), ledger.committed());
}

TEST(Ledger, LawHoldsInEveryShardOverRandomFaults) {
  ForEachSeed(100, [](Random& random) {
    Ledger ledger;
    for (int round = 0; round < 40; ++round) {
      RoundPositions books;
      for (const int64_t shard : {0, 3, 1024}) {
        if (random.NextBelow(3) == 0) continue;  // its worker is not there
        const uint64_t fate = random.NextBelow(8);
        for (const PositionRange& r : ledger.Next(Between(random, 1, 20), shard)) {
          (fate == 0 ? books.lost : fate == 1 ? books.discarded : books.committed).push_back(r);
        }
      }
      ASSERT_TRUE(ledger.Record(books).ok());
      ASSERT_TRUE(ledger.Check().ok());
      ASSERT_EQ(ledger.committed().size() + ledger.discarded().size() + ledger.holes().size(),
                ledger.cursor());
    }
  });
}

TEST(Ledger, LawHoldsAndNoSampleCountsTwiceInAnEpochOverRandomFaults) {
  ForEachSeed(200, [](Random& random) {
    constexpr int64_t kSamples = 97;
    const SampleOrder order(random.NextWord(), kSamples);
    std::map<std::pair<int64_t, int64_t>, int> counted;
    Ledger ledger;
    for (int round = 0; round < 40; ++round) {
      std::vector<int64_t> batches(static_cast<size_t>(Between(random, 1, 5)));
      for (int64_t& b : batches) b = Between(random, 1, 6);
      const int64_t steps = Between(random, 1, 4);
      const std::vector<PositionRange> positions = ledger.Next(RoundSize(steps, batches));
      ASSERT_EQ(TotalSize(positions), RoundSize(steps, batches));
      if (random.NextBelow(6) == 0) continue;  // the whole round failed: as if it had not begun
      RoundPositions books;
      for (int rank = 0; rank < static_cast<int>(batches.size()); ++rank) {
        const uint64_t fate = random.NextBelow(8);
        for (const PositionRange& r : RankPositions(positions, steps, batches, rank)) {
          (fate == 0 ? books.lost : fate == 1 ? books.discarded : books.committed).push_back(r);
        }
      }
      ASSERT_TRUE(ledger.Record(books).ok());
      ASSERT_TRUE(ledger.Check().ok());
      ASSERT_EQ(ledger.committed().size() + ledger.discarded().size() + ledger.holes().size(),
                ledger.cursor());
      for (const PositionRange& r : books.committed) {
        for (int64_t p = r.begin; p < r.end; ++p) {
          const SampleLocation at = order.Locate(p);
          ASSERT_EQ(++counted[std::make_pair(at.epoch, at.index)], 1);
        }
      }
    }
  });
}

}  // namespace
}  // namespace longstride
