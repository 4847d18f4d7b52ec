// The books of rounds over local data, where every shard has its own cursor.
#include "controller/coordinator/round_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/coordinator/samples.h"

namespace longstride {
namespace {

using ::testing::HasSubstr;

// Round `round` of two members, each taking 10 positions of its own shard, 0 or 5.
RoundReport LocalReport(int64_t round, int64_t rank) {
  RoundReport report = MakeReport({1, 1}, round, rank, 2, 20);
  report.local_samples = 10;
  const int64_t begin = (round - 1) * 10, end = round * 10;
  report.shards = {{0, begin, end}, {5, begin, end}};
  report.committed = {{begin, end}, {ShardBegin(5) + begin, ShardBegin(5) + end}};
  return report;
}

TEST(RoundLedger, BooksEveryShardByItsOwnCursor) {
  RoundLedger ledger;
  ledger.Begin(2);
  for (int64_t round = 1; round <= 3; ++round) {
    for (int64_t rank = 0; rank < 2; ++rank) {
      const auto added = ledger.Add(LocalReport(round, rank));
      ASSERT_TRUE(added.ok()) << added.error().message;
    }
  }
  EXPECT_EQ(ledger.round(), 3);
  EXPECT_EQ(ledger.cursor(), 60);
}

TEST(RoundLedger, TakesUpTheBooksOfLocalDataInTheMiddle) {
  RoundLedger ledger;  // of a coordinator that has just started
  ledger.Begin(1);
  // Shard 5's worker is gone; what it had taken is a hole that only it can read.
  RoundReport report = LocalReport(7, 0);
  report.shards = {{0, 60, 70}, {5, 55, 55}};
  report.cursor_begin = 115;
  report.cursor_end = 125;
  report.samples = 10;
  report.committed = {{60, 70}};
  report.holes = {{ShardBegin(5) + 50, ShardBegin(5) + 55}};
  auto added = ledger.Add(report);
  ASSERT_TRUE(added.ok()) << added.error().message;
  EXPECT_EQ(ledger.cursor(), 125);

  // Its replacement reads the hole first.
  ledger.Begin(1);
  report = LocalReport(8, 0);
  report.shards = {{0, 70, 70}, {5, 55, 60}};
  report.cursor_begin = 125;
  report.cursor_end = 130;
  report.samples = 10;
  report.committed = {{ShardBegin(5) + 50, ShardBegin(5) + 60}};
  added = ledger.Add(report);
  ASSERT_TRUE(added.ok()) << added.error().message;
}

TEST(RoundLedger, RefusesAShardThatGoesOnElsewhereThanItStood) {
  RoundLedger ledger;
  ledger.Begin(1);
  RoundReport first = LocalReport(1, 0), second = LocalReport(2, 0);
  first.local_samples = second.local_samples = 20;
  ASSERT_TRUE(ledger.Add(first).ok());
  // The sums are right, the shards are not.
  second.shards = {{0, 5, 15}, {5, 15, 25}};
  const auto added = ledger.Add(second);
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(added.error().code, ErrorCode::kBug);
  EXPECT_THAT(added.error().message, HasSubstr("books of round 2"));
}

}  // namespace
}  // namespace longstride
