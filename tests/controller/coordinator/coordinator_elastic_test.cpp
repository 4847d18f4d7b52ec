// Members that are lost, join or come back while the job goes on.
#include "tests/controller/coordinator/coordinator_fixture.h"

namespace longstride {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

class ElasticTest : public CoordinatorTest {
 protected:
  static constexpr GenerationId kSecond{7, 2};
};

TEST_F(ElasticTest, TheOthersFormTheNextGenerationOnceAllOfThemHaveAsked) {
  Make(3);
  JoinAll();
  Die(1);
  EXPECT_FALSE(coordinator_->end().has_value());
  EXPECT_FALSE(Poll(0, kFirst).has_value());
  const auto reply = Poll(2, kFirst);
  ASSERT_TRUE(reply && reply->generation);
  EXPECT_EQ(reply->generation->id, kSecond);
  EXPECT_EQ(reply->generation->rank, 1);
  EXPECT_EQ(reply->generation->plans.back().shares.size(), 2u);
  EXPECT_TRUE(Poll(0, kFirst)->generation.has_value());
  Collect();
  EXPECT_EQ(Members(), "0 2");
}

TEST_F(ElasticTest, ASurvivorIsToldByItsHeartbeat) {
  Make(2);
  JoinAll();
  EXPECT_EQ(Beat(0).state, MemberState::kTraining);
  Die(1);
  EXPECT_EQ(Beat(0).state, MemberState::kReform);
  EXPECT_THAT(Beat(0).reason, HasSubstr("worker-1 was lost"));
}

TEST_F(ElasticTest, AMemberThatGivesUpItsCollectiveBreaksTheGenerationForAll) {
  Make(2);
  JoinAll();
  EXPECT_FALSE(Poll(1, kFirst, 0, "connection reset").has_value());
  EXPECT_EQ(Beat(0).state, MemberState::kReform);
  EXPECT_THAT(Beat(0).reason, HasSubstr("connection reset"));
  EXPECT_TRUE(Poll(0, kFirst)->generation.has_value());
}

TEST_F(ElasticTest, AHeartbeatMaySayThatTheCollectiveHasFailed) {
  Make(2);
  JoinAll();
  coordinator_->Heartbeat({MakeJoin(1).worker, kFirst, 0, true}, clock_.Now());
  EXPECT_EQ(Beat(0).state, MemberState::kReform);
  EXPECT_TRUE(coordinator_->ReplyTo(MakeReport(kFirst, 1, 0, 2), false).has_value())
      << "nobody waits for the other reports of a round that is not completed";
}

TEST_F(ElasticTest, AWorkerThatWasToldToLeaveLongAgoDoesNotMakeALossAStop) {
  Make(2);
  JoinAll();
  Leave(1, ExitCodeOf(ErrorCode::kInterrupted), "stopped");
  ASSERT_TRUE(Poll(0, kFirst, 1)->generation.has_value());
  Die(0);
  EXPECT_FALSE(coordinator_->end().has_value());
}

TEST_F(ElasticTest, AMemberThatLeavesInTheMiddleOfARoundBreaksTheGenerationAndIsNotLost) {
  CoordinatorOptions options;
  options.job = MakeJob(3);
  options.job.spec.run_policy.backoff_limit = 0;
  Make(3, options);
  JoinAll();
  ReportAll(1);
  Leave(1, ExitCodeOf(ErrorCode::kInterrupted), "no time left", /*mid_round=*/true);
  EXPECT_EQ(Beat(0).state, MemberState::kReform);
  EXPECT_THAT(Beat(0).reason, HasSubstr("worker-1 left in the middle of a round: no time left"));
  EXPECT_FALSE(Poll(0, kFirst, 1).has_value());
  ASSERT_TRUE(Poll(2, kFirst, 1)->generation.has_value());
  Collect();
  EXPECT_EQ(Members(), "0 2");
  EXPECT_TRUE(Of<WorkerLostEvent>(events_).empty());
  EXPECT_FALSE(coordinator_->end().has_value());
}

// Its peers may be in their last boundary's collectives.
TEST_F(ElasticTest, AMemberThatLeavesInTheMiddleOfARoundIsMissedAlsoWhileTheJobStops) {
  Make(2);
  JoinAll();
  coordinator_->RequestStop("Ctrl-C");
  Leave(1, ExitCodeOf(ErrorCode::kInterrupted), "no time left", /*mid_round=*/true);
  EXPECT_EQ(Beat(0).state, MemberState::kReform);
}

TEST_F(ElasticTest, WhoIsSilentWhileTheOthersAskIsLostAfterTheLimit) {
  Make(3);
  JoinAll();
  Pass(seconds(5), {0, 1, 2});
  EXPECT_FALSE(Poll(0, kFirst).has_value());
  EXPECT_FALSE(Poll(1, kFirst).has_value());
  Pass(seconds(2), {0, 1});
  EXPECT_FALSE(Poll(0, kFirst).has_value());
  Pass(seconds(1), {0, 1});
  EXPECT_EQ(Members(), "0 1");
}

TEST_F(ElasticTest, RoundsThatASurvivorHasCommittedCountThoughNotAllReportedThem) {
  Make(3);
  JoinAll();
  ReportAll(1);
  ASSERT_TRUE(Report(MakeReport(kFirst, 2, 0, 3)).ok());
  Die(1);
  EXPECT_FALSE(Poll(0, kFirst, 2).has_value());
  EXPECT_TRUE(Poll(2, kFirst, 1)->generation.has_value());
  Collect();
  const auto rounds = Of<RoundCommittedEvent>(events_);
  ASSERT_EQ(rounds.size(), 2u);
  EXPECT_EQ(rounds[1].record.workers.size(), 1u);
  EXPECT_EQ(coordinator_->plans().back().first_round, 3);
}

TEST_F(ElasticTest, ReportsBeyondTheStateThatGoesOnAreVoid) {
  Make(2);
  JoinAll();
  ReportAll(1);
  ASSERT_TRUE(Report(MakeReport(kFirst, 2, 1, 2)).ok());  // and then it died, alone with round 2
  Die(1);
  ASSERT_TRUE(Poll(0, kFirst, 1)->generation.has_value());
  RoundReport again = MakeReport(kSecond, 2, 0, 1);
  again.digest = "another";
  ASSERT_TRUE(Report(again).ok());
  EXPECT_FALSE(coordinator_->end().has_value()) << End().reason;
  EXPECT_EQ(Of<RoundCommittedEvent>(events_).back().record.common().digest, "another");
}

TEST_F(ElasticTest, WhatADeadWorkerHadTakenIsReadLater) {
  Make(2);
  JoinAll();
  ReportAll(1);
  Die(1);
  ASSERT_TRUE(Poll(0, kFirst, 1)->generation.has_value());
  RoundReport second = MakeReport(kSecond, 2, 0, 1);
  second.local_samples = second.samples = 512;
  second.committed = {{1024, 1536}};
  second.lost = second.holes = {{1536, 2048}};
  ASSERT_TRUE(Report(second).ok());
  RoundReport third = MakeReport(kSecond, 3, 0, 1);
  third.local_samples = third.samples = 1536;
  third.committed = {{1536, 3072}};
  ASSERT_TRUE(Report(third).ok());
  EXPECT_FALSE(coordinator_->end().has_value()) << End().reason;
  EXPECT_EQ(coordinator_->ledger().samples(), 3072);
  EXPECT_EQ(coordinator_->ledger().cursor(), 3072);
}

TEST_F(ElasticTest, AJoinerEntersAtTheNextBoundaryWithoutBreakingAnything) {
  Make(2);
  JoinAll();
  Die(1);
  ASSERT_TRUE(Poll(0, kFirst, 0)->generation.has_value());
  Rejoin(1, "2");
  const HeartbeatReply reply =
      coordinator_->Heartbeat({MakeJoin(0).worker, kSecond, 0}, clock_.Now());
  EXPECT_EQ(reply.state, MemberState::kTraining);
  EXPECT_TRUE(reply.reform);
  const RoundReport report = MakeReport(kSecond, 1, 0, 1);
  ASSERT_TRUE(Report(report).ok());
  EXPECT_TRUE(coordinator_->ReplyTo(report, true)->reform);
  const auto next = Poll(0, kSecond, 1);
  ASSERT_TRUE(next && next->generation);
  Collect();
  EXPECT_EQ(Members(), "0 1");
  EXPECT_EQ(next->generation->plans.back().first_round, 2);
}

TEST_F(ElasticTest, WhoDawdlesAtAReformIsTornOffAfterTheLimit) {
  Make(2);
  JoinAll();
  Pass(seconds(5), {0, 1});
  Die(1);
  ASSERT_TRUE(Poll(0, kFirst, 0)->generation.has_value());
  Rejoin(1, "2");
  ASSERT_TRUE(Poll(0, kSecond, 0)->generation.has_value());  // both in generation 3
  ASSERT_TRUE(coordinator_->Scale(1).ok());
  EXPECT_FALSE(Poll(0, {7, 3}, 1).has_value());
  const auto beat = [&](int64_t index, const std::string& incarnation) {
    return coordinator_->Heartbeat({MakeJoin(index, "worker", incarnation).worker, {7, 3}, 0},
                                   clock_.Now());
  };
  EXPECT_EQ(beat(1, "2").state, MemberState::kTraining) << "it may still be at its boundary";
  for (int i = 0; i < 27; ++i) {
    clock_.Advance(milliseconds(100));
    beat(0, "1");
    beat(1, "2");
    coordinator_->Tick(clock_.Now());
  }
  EXPECT_EQ(beat(1, "2").state, MemberState::kReform);
}

TEST_F(ElasticTest, WhoIsAliveAndStaysInABrokenGenerationIsGivenUpAndNobodyElse) {
  Make(3);
  JoinAll();
  Die(2);
  EXPECT_FALSE(Poll(1, kFirst).has_value());
  Pass(seconds(59), {0, 1});
  EXPECT_EQ(Of<WorkerLostEvent>(events_).size(), 1u);
  Pass(seconds(2), {0, 1});
  EXPECT_EQ(Of<WorkerLostEvent>(events_).size(), 2u);
  EXPECT_EQ(Members(), "1");
}

TEST_F(ElasticTest, AMemberThatStartsAnewWasLostAndIsWelcome) {
  Make(2);
  JoinAll();
  Rejoin(1, "2");
  EXPECT_EQ(Of<WorkerLostEvent>(events_).size(), 1u);
  ASSERT_TRUE(Poll(0, kFirst, 0)->generation.has_value());
  Collect();
  EXPECT_EQ(Members(), "0 1");
}

TEST_F(ElasticTest, WhoWasGivenUpForLostIsFenced) {
  Make(2);
  JoinAll();
  Pass(seconds(5), {0, 1});
  Pass(seconds(3), {0});
  EXPECT_EQ(Beat(1).state, MemberState::kFenced);
  EXPECT_EQ(Poll(1, kFirst)->state, MemberState::kFenced);
  EXPECT_EQ(Report(MakeReport(kFirst, 1, 1, 2)).error().code, ErrorCode::kLostPeer);
  EXPECT_EQ(Join(1).error().code, ErrorCode::kLostPeer);
}

TEST_F(ElasticTest, BelowTheMinimumTheJobWaitsAndSaysSoOnce) {
  CoordinatorOptions options;
  options.job = MakeJob(2);
  options.job.spec.workers[0].min_replicas = 2;
  Make(2, options);
  JoinAll();
  Die(1);
  EXPECT_FALSE(Poll(0, kFirst, 3).has_value());
  EXPECT_FALSE(Poll(0, kFirst, 3).has_value());
  Collect();
  ASSERT_EQ(Of<WaitingEvent>(events_).size(), 1u);
  EXPECT_EQ(Of<WaitingEvent>(events_)[0].min, 2);
  Rejoin(1, "2");
  const auto reply = Poll(0, kFirst, 3);
  ASSERT_TRUE(reply && reply->generation);
  EXPECT_EQ(reply->generation->plans.back().first_round, 4);
}

TEST_F(ElasticTest, AWorkerThatWasInterruptedLeavesAndTheOthersGoOn) {
  Make(2);
  JoinAll();
  Leave(1, ExitCodeOf(ErrorCode::kInterrupted), "stopped: a signal asked for it");
  EXPECT_FALSE(coordinator_->end().has_value());
  ASSERT_TRUE(Poll(0, kFirst, 1)->generation.has_value());
  EXPECT_TRUE(Of<WorkerLostEvent>(events_).empty());
}

TEST_F(ElasticTest, AFailureThatWouldRecurEndsTheJob) {
  for (const ErrorCode code :
       {ErrorCode::kUser, ErrorCode::kData, ErrorCode::kResource, ErrorCode::kBug}) {
    Make(2);
    JoinAll();
    Leave(1, ExitCodeOf(code), "as before");
    EXPECT_EQ(End().outcome, JobOutcome::kFailed);
    EXPECT_EQ(End().code, code);
  }
}

TEST_F(ElasticTest, TooManyLostWorkersEndTheJob) {
  CoordinatorOptions options;
  options.job = MakeJob(2);
  options.job.spec.run_policy.backoff_limit = 1;
  Make(2, options);
  JoinAll();
  Die(1);
  ASSERT_TRUE(Poll(0, kFirst, 0)->generation.has_value());
  EXPECT_FALSE(coordinator_->end().has_value());
  Rejoin(1, "2");
  Die(1);
  EXPECT_EQ(End().code, ErrorCode::kLostPeer);
  EXPECT_THAT(End().reason, HasSubstr("backoffLimit allows 1"));
}

TEST_F(ElasticTest, WhenAllWereLostTheyBeginAgainTogetherFromTheirCheckpoint) {
  Make(2);
  JoinAll();
  for (int64_t round = 1; round <= 5; ++round) ReportAll(round);
  Die(0);
  Die(1);
  EXPECT_FALSE(coordinator_->end().has_value());
  for (const int64_t index : {0, 1}) {
    JoinRequest join = MakeJoin(index, "worker", "2");
    join.round = 4;
    ASSERT_TRUE(coordinator_->Join(join, clock_.Now()).ok());
    Collect();
    EXPECT_EQ(Of<GenerationFormedEvent>(events_).size(), index == 0 ? 1u : 2u);
  }
  for (int64_t r = 0; r < 2; ++r) {
    const Status taken = coordinator_->Report(
        {MakeJoin(r, "worker", "2").worker, MakeReport(kSecond, 5, r, 2)}, clock_.Now());
    ASSERT_TRUE(taken.ok());
  }
  EXPECT_FALSE(coordinator_->end().has_value()) << End().reason;
  EXPECT_EQ(coordinator_->ledger().round(), 5);
}

TEST_F(ElasticTest, ANewcomerThatNeverGotTheStateDoesNotGoOnAlone) {
  Make(2);
  JoinAll();
  for (int64_t round = 1; round <= 5; ++round) ReportAll(round);
  Die(1);
  ASSERT_TRUE(Poll(0, kFirst, 5)->generation.has_value());
  Rejoin(1, "2");
  ASSERT_TRUE(Poll(0, kSecond, 5)->generation.has_value());
  Die(0);  // before the newcomer has the state
  const auto reply = coordinator_->PollGeneration(
      {MakeJoin(1, "worker", "2").worker, {7, 3}, 0, "a peer is gone", 1}, clock_.Now());
  EXPECT_FALSE(reply.has_value());
  JoinRequest join = MakeJoin(0, "worker", "2");
  join.round = 4;  // from the checkpoint
  ASSERT_TRUE(coordinator_->Join(join, clock_.Now()).ok());
  Collect();
  EXPECT_EQ(Of<GenerationFormedEvent>(events_).size(), 4u);
  EXPECT_EQ(coordinator_->plans().back().first_round, 5);
}

TEST_F(ElasticTest, AStopEndsTheJobThoughANewcomerWaits) {
  Make(2);
  JoinAll();
  Die(1);
  ASSERT_TRUE(Poll(0, kFirst, 0)->generation.has_value());
  Rejoin(1, "2");
  coordinator_->RequestStop("Ctrl-C");
  Leave(0, ExitCodeOf(ErrorCode::kInterrupted), "stopped");
  EXPECT_EQ(End().outcome, JobOutcome::kStopped);
}

TEST_F(ElasticTest, WhoIsNotWantedAnyMoreMayFailToJoin) {
  Make(1);
  JoinAll();
  ASSERT_TRUE(coordinator_->Scale(2).ok());
  ASSERT_TRUE(coordinator_->Scale(1).ok());
  coordinator_->WorkerExited("worker", 1, 2, "exited with code 2", false, clock_.Now());
  EXPECT_FALSE(coordinator_->end().has_value());
}

TEST_F(ElasticTest, AReplacementThatFailsBeforeItJoinsCounts) {
  Make(2);
  JoinAll();
  Die(1);
  coordinator_->WorkerExited("worker", 1, 3, "exited with code 3", false, clock_.Now());
  EXPECT_EQ(End().code, ErrorCode::kData);
}

TEST_F(ElasticTest, WhenNotAllComeBackThoseWhoDidBeginAfterAWhile) {
  Make(2);
  JoinAll();
  Die(0);
  Die(1);
  Rejoin(0, "2");
  for (int i = 0; i < 310; ++i) {
    clock_.Advance(milliseconds(100));
    Beat(0, "2");
    coordinator_->Tick(clock_.Now());
  }
  Collect();
  EXPECT_EQ(Members(), "0");
}

TEST_F(ElasticTest, TheWaitForTheOthersBeginsWhenTheFirstIsBack) {
  Make(2);
  JoinAll();
  Die(0);
  Die(1);
  Pass(seconds(60));  // as long as a pod may take to start
  Rejoin(0, "2");
  EXPECT_EQ(Of<GenerationFormedEvent>(events_).size(), 1u);
  Rejoin(1, "2");
  EXPECT_EQ(Of<GenerationFormedEvent>(events_).size(), 2u);
  EXPECT_EQ(Members(), "0 1");
}

TEST_F(ElasticTest, WhoDiesWhileItWaitsForTheOthersEndsTheWait) {
  Make(2);
  JoinAll();
  Die(0);
  Die(1);
  Rejoin(0, "2");
  Die(0);
  Pass(seconds(60));
  Rejoin(0, "3");
  EXPECT_EQ(Of<GenerationFormedEvent>(events_).size(), 1u);
}

TEST_F(ElasticTest, ALossAmongThoseWhoHaveFinishedDoesNotMatter) {
  Make(2);
  JoinAll();
  Leave(0, 0, "completed");
  Die(1);
  EXPECT_EQ(End().outcome, JobOutcome::kCompleted);
}

TEST_F(ElasticTest, WhoAsksAfterAnotherHasFinishedIsDone) {
  Make(2);
  JoinAll();
  Leave(0, 0, "completed");
  const auto reply = Poll(1, kFirst, 9, "the barrier failed");
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->state, MemberState::kEnded);
  EXPECT_FALSE(reply->failed);
}

TEST_F(ElasticTest, AStragglerIsShedOnlyIfTheJobSaysSo) {
  for (const bool shed : {false, true}) {
    CoordinatorOptions options;
    options.job = MakeJob(3);
    options.job.spec.run_policy.shed_stragglers = shed;
    Make(3, options);
    JoinAll();
    events_.clear();
    for (int64_t round = 1; round <= 2 * StragglerWatch::kPatience; ++round) {
      for (int64_t r = 0; r < 3; ++r) {
        RoundReport report = MakeReport(kFirst, round, r, 3);
        report.seconds.data = r == 1 ? 9 : 1;
        ASSERT_TRUE(Report(report).ok());
      }
    }
    Pass(milliseconds(100), {0, 1, 2});
    const auto lost = Of<WorkerLostEvent>(events_);
    ASSERT_EQ(lost.size(), shed ? 1u : 0u);
    if (shed) {
      EXPECT_EQ(lost[0].worker.index, 1);
    }
  }
}

}  // namespace
}  // namespace longstride
