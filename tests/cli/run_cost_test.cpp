#include "cli/run_cost.h"

#include <gtest/gtest.h>

#include "tests/cli/round_records.h"

namespace longstride {
namespace {

// Two workers for a quarter of an hour each, of whom each sent 1.5 GB.
RunTotals OneRound() {
  RoundRecord record = MakeRecord(1);
  for (RoundReport& report : record.reports) {
    report.wall_seconds = 900;
    report.bytes_sent = {1'000'000'000, 500'000'000};
  }
  RunTotals totals;
  totals.Add(record);
  return totals;
}

TEST(CostOf, AddsUpTheWorkersHoursAndWhatTheySent) {
  const auto cost = CostOf(OneRound(), {"EUR", 2, 0.1});
  ASSERT_TRUE(cost);
  EXPECT_DOUBLE_EQ(cost->worker_hours, 0.5);
  EXPECT_DOUBLE_EQ(cost->gigabytes_sent, 3);
  EXPECT_DOUBLE_EQ(cost->total, 1.3);
}

TEST(CostOf, IsUnknownWithoutAPrice) {
  EXPECT_FALSE(CostOf(OneRound(), {}));
}

TEST(CostText, ShowsTheSumAndItsTerms) {
  const auto text = [](const CostSpec& prices) {
    return CostText(*CostOf(OneRound(), prices), prices);
  };
  EXPECT_EQ(text({"EUR", 2, 0.1}), "1.30 EUR: 0.5 worker-hours x 2 + 3 GB sent x 0.1");
  EXPECT_EQ(text({"USD", 0.01, 0}), "0.005 USD: 0.5 worker-hours x 0.01");
  EXPECT_EQ(text({"USD", 0, 0.1}), "0.3 USD: 3 GB sent x 0.1");
}

}  // namespace
}  // namespace longstride
