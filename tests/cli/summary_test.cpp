#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/closing_summary.h"
#include "cli/text_table.h"
#include "tests/cli/round_records.h"

namespace longstride {
namespace {

using testing::HasSubstr;
using testing::Not;

RunTotals FourRounds() {
  RunTotals totals;
  for (int64_t round = 1; round <= 4; ++round) totals.Add(MakeRecord(round));
  return totals;
}

TEST(RunTotals, AddsUpRounds) {
  const RunTotals totals = FourRounds();
  EXPECT_EQ(totals.workers, 2);
  EXPECT_EQ(totals.rounds, 4);
  EXPECT_EQ(totals.steps, 40);
  EXPECT_EQ(totals.samples, 800);
  EXPECT_EQ(totals.cursor, 800);
  EXPECT_EQ(totals.discarded, 0);
  EXPECT_DOUBLE_EQ(totals.seconds, 8);  // both workers at once
  EXPECT_DOUBLE_EQ(totals.CommunicationShare(), 0.25);
  EXPECT_DOUBLE_EQ(totals.SentBytesPerWorker(), 4000);
}

TEST(RunTotals, TheSlowestWorkerMakesTheTimeAndDiscardedSamplesDoNotCount) {
  RoundRecord record = MakeRecord(1);
  record.reports[1].wall_seconds = 5;
  for (RoundReport& report : record.reports) {
    report.samples = 150;
    report.discarded = {{150, 200}};
  }
  RunTotals totals;
  totals.Add(record);
  EXPECT_DOUBLE_EQ(totals.seconds, 5);
  EXPECT_EQ(totals.samples, 150);
  EXPECT_EQ(totals.discarded, 50);
}

// Each of 15 steps sends 2 (4-1)/4 x 4 bytes x 1000 parameters.
TEST(DataParallelBytesPerWorker, IsARingAllReduceOfTheGradientInEveryStep) {
  EXPECT_DOUBLE_EQ(DataParallelBytesPerWorker(15, 4, 1000), 15 * 6000.0);
  EXPECT_DOUBLE_EQ(DataParallelBytesPerWorker(15, 1, 1000), 0);
  EXPECT_DOUBLE_EQ(DataParallelBytesPerWorker(15, 0, 1000), 0);
}

TEST(ClosingTable, SaysWhatWasSaved) {
  RunTotals totals = FourRounds();
  totals.evaluation_accuracy = 0.9012;
  totals.target_reached = true;
  const std::string text = RenderClosingTable(totals, {1000, 400}, {"EUR", 900, 0}, 9.5);
  EXPECT_THAT(text, HasSubstr("8.0 s of training; 9.5 s in all"));
  EXPECT_THAT(text, HasSubstr("800 (2.00 epochs)"));
  EXPECT_THAT(text, HasSubstr("90.12 %, target reached"));
  EXPECT_THAT(text, HasSubstr("25.00 % of the workers' time"));
  EXPECT_THAT(text, HasSubstr("40 steps x 2 (2 - 1) / 2 x 4 B x 1,000 parameters"));
  EXPECT_THAT(text, HasSubstr("40 times fewer bytes"));  // 40 x 4000 / 4000
  EXPECT_THAT(text, HasSubstr("4.00 EUR: 0.00444 worker-hours x 900"));
}

TEST(ClosingTable, LeavesOutWhatIsNotKnown) {
  const std::string text = RenderClosingTable(FourRounds(), {}, {}, 0);
  for (const char* absent : {"epochs", "accuracy", "data-parallel", "saved", "in all", "cost"}) {
    EXPECT_THAT(text, Not(HasSubstr(absent)));
  }
}

TEST(ClosingJson, HasTheSameNumbers) {
  const auto json = ClosingJson(FourRounds(), {1000, 400}, {"EUR", 900, 0}, 3);
  EXPECT_EQ(json["rounds"], 4);
  EXPECT_EQ(json["epochs"], 2.0);
  EXPECT_EQ(json["savedFactor"], 40.0);
  EXPECT_TRUE(json["evaluationAccuracy"].is_null());
  EXPECT_EQ(json["cost"]["total"], 4.0);
  EXPECT_EQ(json["cost"]["currency"], "EUR");
  EXPECT_EQ(json["lastCheckpoint"], 3);
  const auto unknown = ClosingJson(FourRounds(), {}, {}, 0);
  EXPECT_TRUE(unknown["cost"].is_null());
  EXPECT_TRUE(unknown["lastCheckpoint"].is_null());
}

TEST(TextTable, AlignsColumnsByWhatIsSeen) {
  TextTable table;
  table.AlignRight(1);
  table.Row({"é", "1"});
  table.Row({"abc", "22", "x"});
  EXPECT_EQ(table.Render(), "  é     1\n  abc  22  x\n");
}

}  // namespace
}  // namespace longstride
