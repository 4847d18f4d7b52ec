#include "cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/text_table.h"
#include "tests/cli/round_records.h"

namespace longstride {
namespace {

using testing::HasSubstr;
using testing::Not;

Progress AfterRounds(int64_t rounds, int64_t max_samples) {
  Progress progress(max_samples);
  for (int64_t round = 1; round <= rounds; ++round) progress.Add(MakeRecord(round));
  return progress;
}

TEST(Progress, KnowsRateShareAndTimeLeft) {
  const Progress progress = AfterRounds(3, 2400);
  EXPECT_DOUBLE_EQ(progress.SamplesPerSecond(), 100);  // 200 samples in 2 s
  EXPECT_DOUBLE_EQ(progress.Fraction(), 0.25);
  EXPECT_DOUBLE_EQ(progress.SecondsLeft(), 18);
}

TEST(Progress, TheRateFollowsRecentRounds) {
  Progress progress = AfterRounds(100, 0);
  for (int64_t round = 101; round <= 110; ++round) {
    RoundRecord record = MakeRecord(round);
    for (RoundReport& report : record.reports) report.wall_seconds = 4;
    progress.Add(record);
  }
  EXPECT_DOUBLE_EQ(progress.SamplesPerSecond(), 50);
}

TEST(Progress, TheLineHoldsEverythingWhereThereIsRoom) {
  Progress progress = AfterRounds(3, 2400);
  RoundRecord record = MakeRecord(4);
  for (RoundReport& report : record.reports) report.evaluation_accuracy = 0.5;
  progress.Add(record);
  EXPECT_EQ(progress.RenderLine(200),
            "round 4  ▕██████▋             ▏  33%  100 samples/s  B 20  H 10  loss 0.25  acc "
            "50.00%  comm 25.0%  "
            "sent 4.00 kB/worker  ETA 16.0 s");
}

TEST(Progress, ANarrowTerminalGetsTheMostImportantParts) {
  const Progress progress = AfterRounds(3, 2400);
  for (int width : {0, 5, 12, 20, 40, 60, 80, 100, 120}) {
    EXPECT_LE(DisplayWidth(progress.RenderLine(width)), static_cast<size_t>(width)) << width;
  }
  EXPECT_EQ(progress.RenderLine(12), "round 3");
  EXPECT_THAT(progress.RenderLine(40), HasSubstr("loss"));
}

TEST(Progress, WithoutAnEndThereIsNoBarAndNoEta) {
  const std::string line = AfterRounds(3, 0).RenderLine(200);
  EXPECT_THAT(line, Not(HasSubstr("ETA")));
  EXPECT_THAT(line, Not(HasSubstr("▕")));
}

TEST(Progress, PlainLinesSayTheSame) {
  EXPECT_EQ(AfterRounds(3, 2400).RenderPlain(),
            "round 3 (25.0%): 100 samples/s, global batch 20, H 10, loss 0.3333, communication "
            "25.0%, sent "
            "3.00 kB per worker, ETA 18.0 s");
}

}  // namespace
}  // namespace longstride
