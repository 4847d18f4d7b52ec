// Silence, death, stops and the end of the job.
#include "tests/controller/coordinator/coordinator_fixture.h"

namespace longstride {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

TEST_F(CoordinatorTest, AWorkerSilentForLongerThanTheLimitIsLost) {
  MakeWithoutRestarts(2);
  JoinAll();
  Pass(seconds(10), {0, 1});
  EXPECT_FALSE(coordinator_->end().has_value());
  Pass(seconds(3), {0});
  EXPECT_EQ(End().outcome, JobOutcome::kFailed);
  EXPECT_EQ(End().code, ErrorCode::kLostPeer);
  EXPECT_THAT(End().reason,
              HasSubstr("worker worker-1 was lost after round 0: no heartbeat for 2.6"));
  EXPECT_EQ(Beat(0).state, MemberState::kEnded);
  EXPECT_EQ(Poll(0, kFirst)->state, MemberState::kEnded);
  EXPECT_TRUE(Poll(0, kFirst)->failed);
}

TEST_F(CoordinatorTest, NobodyIsDeclaredDeadBeforeANewLeadersGraceHasPassed) {
  MakeWithoutRestarts(1);
  JoinAll();
  Pass(milliseconds(4400));
  EXPECT_FALSE(coordinator_->end().has_value());
  Pass(milliseconds(200));
  EXPECT_TRUE(coordinator_->end().has_value());
}

TEST_F(CoordinatorTest, ACoordinatorThatWasHeldUpBlamesNobodyForIt) {
  Make(1);
  JoinAll();
  Pass(seconds(10), {0});
  clock_.Advance(seconds(60));  // suspended, or starved of CPU
  coordinator_->Tick(clock_.Now());
  Pass(seconds(1));
  EXPECT_FALSE(coordinator_->end().has_value());
  Pass(seconds(10), {0});
  EXPECT_FALSE(coordinator_->end().has_value());
}

TEST_F(CoordinatorTest, TheLaunchersWordThatAWorkerDiedCountsAtOnce) {
  MakeWithoutRestarts(2);
  JoinAll();
  coordinator_->WorkerExited("worker", 1, 137, "was killed by signal 9", true, clock_.Now());
  EXPECT_THAT(End().reason, HasSubstr("worker worker-1 was lost"));
  EXPECT_THAT(End().reason, HasSubstr("signal 9"));
  EXPECT_EQ(End().code, ErrorCode::kLostPeer);
}

TEST_F(CoordinatorTest, ALeaveWithAnErrorEndsTheJobWithThatError) {
  Make(2);
  JoinAll();
  Leave(1, ExitCodeOf(ErrorCode::kData), "train-images: truncated at byte 16");
  EXPECT_EQ(End().code, ErrorCode::kData);
  EXPECT_THAT(End().reason, HasSubstr("truncated"));
}

TEST_F(CoordinatorTest, AFailureBeforeJoiningEndsTheJob) {
  Make(2);
  ASSERT_TRUE(Join(0).ok());
  coordinator_->WorkerExited("worker", 1, 3, "exited with code 3", false, clock_.Now());
  EXPECT_EQ(End().code, ErrorCode::kData);
  EXPECT_THAT(End().reason, HasSubstr("worker worker-1 failed before it joined"));
}

TEST_F(CoordinatorTest, TheJobIsCompleteWhenAllHaveLeftWell) {
  Make(2);
  JoinAll();
  ReportAll(1);
  Leave(0, 0, "completed");
  Pass(seconds(5), {1});
  EXPECT_FALSE(coordinator_->end().has_value());
  EXPECT_FALSE(coordinator_->quiet());
  Leave(1, 0, "completed");
  EXPECT_EQ(End().outcome, JobOutcome::kCompleted);
  EXPECT_TRUE(coordinator_->quiet());
  coordinator_->WorkerExited("worker", 1, 0, "exited with code 0", true, clock_.Now());
  EXPECT_EQ(End().outcome, JobOutcome::kCompleted);
}

TEST_F(CoordinatorTest, AStopReachesMembersByHeartbeatAndReport) {
  Make(1);
  JoinAll();
  EXPECT_FALSE(Beat(0).stop);
  coordinator_->RequestStop("Ctrl-C");
  coordinator_->RequestStop("a later reason");
  EXPECT_TRUE(Beat(0).stop);
  EXPECT_EQ(Beat(0).stop_reason, "Ctrl-C");
  const RoundReport report = MakeReport(kFirst, 1, 0, 1);
  ASSERT_TRUE(Report(report).ok());
  EXPECT_TRUE(coordinator_->ReplyTo(report, false)->stop);
  Leave(0, ExitCodeOf(ErrorCode::kInterrupted), "stopped");
  EXPECT_EQ(End().outcome, JobOutcome::kStopped);
  EXPECT_EQ(End().reason, "Ctrl-C");
}

TEST_F(CoordinatorTest, AStopBeforeTrainingEndsTheJob) {
  Make(2);
  ASSERT_TRUE(Join(0).ok());
  coordinator_->RequestStop("Ctrl-C");
  EXPECT_EQ(End().outcome, JobOutcome::kStopped);
  EXPECT_EQ(Poll(0)->state, MemberState::kEnded);
  EXPECT_FALSE(Poll(0)->failed);
  EXPECT_EQ(Join(1).error().code, ErrorCode::kInterrupted);
}

TEST_F(CoordinatorTest, TheRunPolicysDeadlineStopsTheJob) {
  CoordinatorOptions options;
  options.job = MakeJob(1);
  options.job.spec.run_policy.active_deadline_seconds = 20;
  Make(1, options);
  JoinAll();
  Pass(seconds(19), {0});
  EXPECT_FALSE(Beat(0).stop);
  Pass(seconds(2), {0});
  EXPECT_TRUE(Beat(0).stop);
}

}  // namespace
}  // namespace longstride
