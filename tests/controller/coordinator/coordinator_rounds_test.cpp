// Reports, and the rounds that they make.
#include "tests/controller/coordinator/coordinator_fixture.h"

namespace longstride {
namespace {

using ::testing::HasSubstr;

TEST_F(CoordinatorTest, RoundsAreCommittedOnceEveryRankHasReported) {
  Make(2);
  JoinAll();
  ASSERT_TRUE(Report(MakeReport(kFirst, 1, 1, 2)).ok());
  ASSERT_TRUE(Report(MakeReport(kFirst, 2, 1, 2)).ok());
  EXPECT_TRUE(Of<RoundCommittedEvent>(events_).empty());
  ASSERT_TRUE(Report(MakeReport(kFirst, 1, 0, 2)).ok());
  EXPECT_EQ(Of<RoundCommittedEvent>(events_).size(), 1u);
  ASSERT_TRUE(Report(MakeReport(kFirst, 2, 0, 2)).ok());
  const auto rounds = Of<RoundCommittedEvent>(events_);
  ASSERT_EQ(rounds.size(), 2u);
  EXPECT_EQ(rounds[1].record.workers[1].index, 1);
  EXPECT_EQ(coordinator_->ledger().cursor(), 2048);
  EXPECT_EQ(coordinator_->ledger().samples(), 2048);
}

TEST_F(CoordinatorTest, AReportIsAnsweredWithThePlansOfItsRoundOnceTheRoundIsCommitted) {
  Make(2);
  JoinAll();
  RoundReport report;
  for (int64_t round = 1; round <= 3; ++round) {
    for (int64_t r = 0; r < 2; ++r) {
      report = MakeReport(kFirst, round, r, 2);
      report.step_times = {{64, r == 0 ? 0.03 : 0.3}};
      EXPECT_FALSE(coordinator_->ReplyTo(report, false).has_value());
      EXPECT_TRUE(coordinator_->ReplyTo(report, true)->plans.empty());
      ASSERT_TRUE(Report(report).ok());
    }
  }
  report.rank = 0;  // the other member's answer, parked until now
  ASSERT_TRUE(coordinator_->ReplyTo(report, false).has_value());
  ASSERT_EQ(coordinator_->ReplyTo(report, false)->plans.size(), 1u);
  EXPECT_EQ(coordinator_->ReplyTo(report, false)->plans[0].first_round, 5);
}

TEST_F(CoordinatorTest, AReportThatIsSentAgainCountsOnce) {
  Make(2);
  JoinAll();
  ReportAll(1);
  ReportAll(1);
  EXPECT_EQ(Of<RoundCommittedEvent>(events_).size(), 1u);
  EXPECT_EQ(coordinator_->ledger().samples(), 1024);
}

TEST_F(CoordinatorTest, EvaluationsAndCheckpointsBecomeEvents) {
  Make(1);
  JoinAll();
  RoundReport report = MakeReport(kFirst, 1, 0, 1);
  report.evaluation_accuracy = 0.9;
  report.target_reached = true;
  report.checkpoint = CommittedCheckpoint{1, 1024, 500};
  ASSERT_TRUE(Report(report).ok());
  ASSERT_EQ(Of<EvaluationEvent>(events_).size(), 1u);
  EXPECT_EQ(*Of<EvaluationEvent>(events_)[0].accuracy, 0.9);
  EXPECT_TRUE(Of<EvaluationEvent>(events_)[0].target_reached);
  ASSERT_EQ(Of<CheckpointEvent>(events_).size(), 1u);
  EXPECT_EQ(Of<CheckpointEvent>(events_)[0].checkpoint.samples, 1024);
  EXPECT_EQ(Of<CheckpointEvent>(events_)[0].checkpoint.time, 500);
}

TEST_F(CoordinatorTest, ACheckpointThatWasOnlyAskedForIsNone) {
  Make(1);
  JoinAll();
  RoundReport report = MakeReport(kFirst, 1, 0, 1);
  report.checkpointed = true;
  ASSERT_TRUE(Report(report).ok());
  EXPECT_TRUE(Of<CheckpointEvent>(events_).empty());
}

TEST_F(CoordinatorTest, OnlyANewerCheckpointIsToldOfHoweverItIsHeardOf) {
  Make(2);
  JoinAll();
  ReportAll(1);
  RoundReport report = MakeReport(kFirst, 2, 0, 2);
  report.checkpoint = CommittedCheckpoint{2, 2048, 500};
  ASSERT_TRUE(Report(report).ok());
  EXPECT_EQ(Of<CheckpointEvent>(events_).size(), 1u) << "though the round is not committed yet";
  report = MakeReport(kFirst, 2, 1, 2);
  report.checkpoint = CommittedCheckpoint{1, 1024, 400};
  ASSERT_TRUE(Report(report).ok());
  EXPECT_EQ(Of<CheckpointEvent>(events_).size(), 1u);
  LeaveRequest leave{MakeJoin(0).worker, kFirst, 2, 7, "stopped"};
  leave.checkpoint = CommittedCheckpoint{3, 3072, 600};
  ASSERT_TRUE(coordinator_->Leave(leave, clock_.Now()).ok());
  Collect();
  ASSERT_EQ(Of<CheckpointEvent>(events_).size(), 2u) << "committed after its last report";
  EXPECT_EQ(Of<CheckpointEvent>(events_)[1].checkpoint.round, 3);
}

TEST_F(CoordinatorTest, CheckpointsOfAHistoryThatIsGivenUpDoNotHideThoseAfterIt) {
  Make(1);
  JoinAll();
  for (int64_t round = 1; round <= 4; ++round) {
    RoundReport report = MakeReport(kFirst, round, 0, 1);
    if (round == 4) report.checkpoint = CommittedCheckpoint{4, 4096, 500};
    ASSERT_TRUE(Report(report).ok());
  }
  Die(0);
  JoinRequest next = MakeJoin(0, "worker", "2");
  next.round = 2;  // the newer checkpoint is broken
  ASSERT_TRUE(coordinator_->Join(next, clock_.Now()).ok());
  RoundReport report = MakeReport({7, 2}, 3, 0, 1);
  report.checkpoint = CommittedCheckpoint{3, 3072, 600};
  ASSERT_TRUE(coordinator_->Report({next.worker, report}, clock_.Now()).ok());
  Collect();
  ASSERT_EQ(Of<CheckpointEvent>(events_).size(), 2u);
  EXPECT_EQ(Of<CheckpointEvent>(events_)[1].checkpoint.round, 3);
}

TEST_F(CoordinatorTest, DifferentDigestsEndTheJobAsABugNamingTheRanks) {
  Make(3);
  JoinAll();
  for (int64_t r = 0; r < 3; ++r) {
    RoundReport report = MakeReport(kFirst, 1, r, 3);
    if (r == 2) report.digest = "deadbeefdeadbeef";
    ASSERT_TRUE(Report(report).ok());
  }
  EXPECT_EQ(End().outcome, JobOutcome::kFailed);
  EXPECT_EQ(End().code, ErrorCode::kBug);
  EXPECT_THAT(End().reason, HasSubstr("ranks 2 do not match rank 0"));
}

struct BrokenReport {
  const char* what;
  std::function<void(RoundReport&)> spoil;  // applied to both ranks' reports of round 2
};
class LedgerLaw : public CoordinatorTest, public ::testing::WithParamInterface<BrokenReport> {};

TEST_P(LedgerLaw, IsCheckedInEveryRound) {
  Make(2);
  JoinAll();
  ReportAll(1);
  for (int64_t r = 0; r < 2; ++r) {
    RoundReport report = MakeReport(kFirst, 2, r, 2);
    GetParam().spoil(report);
    ASSERT_TRUE(Report(report).ok());
  }
  EXPECT_EQ(End().outcome, JobOutcome::kFailed) << GetParam().what;
  EXPECT_EQ(End().code, ErrorCode::kBug);
}
INSTANTIATE_TEST_SUITE_P(
    All, LedgerLaw,
    ::testing::Values(
        BrokenReport{"a gap",
                     [](RoundReport& r) {
                       ++r.cursor_begin;
                       ++r.cursor_end;
                     }},
        BrokenReport{"an overlap",
                     [](RoundReport& r) {
                       --r.cursor_begin;
                       --r.cursor_end;
                     }},
        BrokenReport{"a skipped round", [](RoundReport& r) { ++r.round; }},
        BrokenReport{"samples too many", [](RoundReport& r) { ++r.samples; }},
        BrokenReport{"samples unaccounted for", [](RoundReport& r) { --r.local_samples; }},
        BrokenReport{"ranks that disagree", [](RoundReport& r) { r.local_steps += r.rank; }}));

TEST_F(CoordinatorTest, SamplesOfAWorkerWhoseDeltaIsNotFiniteAreDiscarded) {
  Make(2);
  JoinAll();
  for (int64_t r = 0; r < 2; ++r) {
    RoundReport report = MakeReport(kFirst, 1, r, 2);
    report.samples = 512;
    report.committed = {{0, 512}};
    report.discarded = {{512, 1024}};
    report.delta_finite = r == 0;
    ASSERT_TRUE(Report(report).ok());
  }
  EXPECT_FALSE(coordinator_->end().has_value()) << End().reason;
  EXPECT_EQ(coordinator_->ledger().samples(), 512);
  EXPECT_EQ(coordinator_->ledger().discarded(), 512);
  EXPECT_EQ(coordinator_->ledger().cursor(), 1024);
}

TEST_F(CoordinatorTest, ReportsOfStrangersAndOlderGenerationsAreFenced) {
  Make(1);
  JoinAll();
  EXPECT_EQ(Report(MakeReport({6, 9}, 1, 0, 1)).error().code, ErrorCode::kLostPeer);
  EXPECT_EQ(Report(MakeReport(kFirst, 1, 5, 1)).error().code, ErrorCode::kLostPeer);
}

TEST_F(CoordinatorTest, EventsAreLinesOfJson) {
  Make(1);
  JoinAll();
  ReportAll(1);
  Leave(0, 0, "completed");
  std::string names;
  for (const Event& event : events_) {
    const auto line = nlohmann::json::parse(ToJsonLine(event));
    names += line["event"].get<std::string>() + " ";
  }
  EXPECT_EQ(names, "joined planIssued generationFormed roundCommitted workerLeft ended ");
}

}  // namespace
}  // namespace longstride
