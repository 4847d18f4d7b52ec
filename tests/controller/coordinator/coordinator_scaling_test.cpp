// Scaling: alone, and while the members change for other reasons (what the simulation found).
#include "tests/controller/coordinator/coordinator_fixture.h"

namespace longstride {
namespace {

using ::testing::HasSubstr;

class ScalingTest : public CoordinatorTest {
 protected:
  static constexpr GenerationId kSecond{7, 2};

  std::optional<GenerationReply> PollAs(const std::string& incarnation, int64_t index,
                                        GenerationId after, int64_t round) {
    return coordinator_->PollGeneration(
        {MakeJoin(index, "worker", incarnation).worker, after, round, "", 1}, clock_.Now());
  }
};

TEST_F(ScalingTest, ScalingDownReleasesTheLastPlacesAtABoundary) {
  Make(3);
  JoinAll();
  ASSERT_TRUE(coordinator_->Scale(2).ok());
  EXPECT_TRUE(Beat(0).reform);
  EXPECT_FALSE(Poll(0, kFirst, 1).has_value());
  EXPECT_FALSE(Poll(1, kFirst, 1).has_value());
  const auto released = Poll(2, kFirst, 1);
  ASSERT_TRUE(released.has_value());
  EXPECT_EQ(released->state, MemberState::kEnded);
  EXPECT_FALSE(released->failed);
  EXPECT_THAT(released->reason, HasSubstr("scaled down to 2"));
  Collect();
  EXPECT_EQ(Members(), "0 1");
  Leave(2, 0, "completed");
  EXPECT_FALSE(coordinator_->end().has_value());
  EXPECT_EQ(Join(2).error().code, ErrorCode::kUser) << "its place is gone";
}

TEST_F(ScalingTest, ScalingUpMakesPlacesThatWorkersThenTake) {
  Make(1);
  JoinAll();
  ASSERT_TRUE(coordinator_->Scale(3).ok());
  EXPECT_EQ(coordinator_->wanted().size(), 3u);
  EXPECT_FALSE(Beat(0).reform) << "nobody is there yet";
  ASSERT_TRUE(Join(2).ok());
  EXPECT_TRUE(Beat(0).reform);
  ASSERT_TRUE(Poll(0, kFirst, 5)->generation.has_value());
  Collect();
  EXPECT_EQ(Members(), "0 2");
}

TEST_F(ScalingTest, ScaleKeepsToTheGroupsBounds) {
  CoordinatorOptions options;
  options.job = MakeJob(2);
  options.job.spec.workers[0].min_replicas = 2;
  options.job.spec.workers[0].max_replicas = 4;
  Make(2, options);
  EXPECT_THAT(coordinator_->Scale(1).error().message, HasSubstr("2 to 4 workers, not 1"));
  EXPECT_EQ(coordinator_->Scale(5).error().code, ErrorCode::kUser);
}

TEST_F(ScalingTest, ScaleKeepsToTheShardsThatTheDataAreCutInto) {
  CoordinatorOptions options;
  options.job = MakeJob(4);
  options.job.spec.data.placement = DataPlacement::kLocal;
  options.job.spec.data.partition = PartitionSpec{.dirichlet = 0.1};
  Make(4, options);
  EXPECT_THAT(coordinator_->Scale(5).error().message,
              HasSubstr("4 shards, which are too few for 5 workers"));
  EXPECT_TRUE(coordinator_->Scale(3).ok());
  EXPECT_TRUE(coordinator_->Scale(4).ok());
  options.job.spec.data.partition->shards = 5;
  Make(4, options);
  EXPECT_TRUE(coordinator_->Scale(5).ok());
  EXPECT_EQ(coordinator_->Scale(6).error().code, ErrorCode::kUser);
}

TEST_F(ScalingTest, WhoIsNotWantedHandsOnTheStateBeforeItGoes) {
  Make(2);
  JoinAll();
  ReportAll(1);
  coordinator_->WorkerExited("worker", 0, 137, "was killed by signal 9", true, clock_.Now());
  ASSERT_TRUE(coordinator_->Join(MakeJoin(0, "worker", "2"), clock_.Now()).ok());
  ASSERT_TRUE(coordinator_->Scale(1).ok());
  // Only worker 1, which is to go, holds round 1.
  const auto reply = Poll(1, kFirst, 1);
  ASSERT_TRUE(reply && reply->generation);
  EXPECT_EQ(reply->generation->members.size(), 2u);
  const auto beat = coordinator_->Heartbeat({MakeJoin(1).worker, kSecond, 1}, clock_.Now());
  EXPECT_TRUE(beat.reform) << "and it goes at the next boundary";
  ASSERT_FALSE(PollAs("2", 0, kSecond, 2).has_value());
  EXPECT_EQ(Poll(1, kSecond, 2)->state, MemberState::kEnded);
  EXPECT_EQ(PollAs("2", 0, kSecond, 2)->generation->members.size(), 1u);
  EXPECT_EQ(coordinator_->ledger().round(), 2);
}

TEST_F(ScalingTest, WhoWasToldToGoGoesEvenIfItsPlaceIsWantedAgain) {
  Make(2);
  JoinAll();
  ASSERT_TRUE(coordinator_->Scale(1).ok());
  ASSERT_FALSE(Poll(0, kFirst, 1).has_value());
  ASSERT_EQ(Poll(1, kFirst, 1)->state, MemberState::kEnded);
  ASSERT_TRUE(coordinator_->Scale(2).ok());
  EXPECT_EQ(Poll(0, kFirst, 1)->generation->members.size(), 1u);
  Leave(1, 0, "completed");
  EXPECT_FALSE(coordinator_->end().has_value());
  EXPECT_FALSE(coordinator_->completing());
  EXPECT_TRUE(coordinator_->Join(MakeJoin(1, "worker", "2"), clock_.Now()).ok());
}

TEST_F(ScalingTest, AMemberThatHasFinishedLeavesOnceItsLastRoundIsOnRecord) {
  Make(2);
  JoinAll();
  ASSERT_TRUE(Report(MakeReport(kFirst, 1, 0, 2)).ok());
  const LeaveRequest leave{MakeJoin(0).worker, kFirst, 1, 0, "completed"};
  EXPECT_EQ(coordinator_->Leave(leave, clock_.Now()).error().code, ErrorCode::kTransient);
  ASSERT_TRUE(Report(MakeReport(kFirst, 1, 1, 2)).ok());
  EXPECT_TRUE(coordinator_->Leave(leave, clock_.Now()).ok());
}

TEST_F(ScalingTest, AMemberThatHasFinishedDoesNotWaitForLongForOneThatCannotReport) {
  Make(2);
  JoinAll();
  ASSERT_TRUE(Report(MakeReport(kFirst, 1, 0, 2)).ok());
  const LeaveRequest leave{MakeJoin(0).worker, kFirst, 1, 0, "completed"};
  EXPECT_FALSE(coordinator_->Leave(leave, clock_.Now()).ok());
  clock_.Advance(std::chrono::seconds(2));
  EXPECT_TRUE(coordinator_->Leave(leave, clock_.Now()).ok());
  Collect();
  ASSERT_EQ(Of<RoundCommittedEvent>(events_).size(), 1u);
  EXPECT_EQ(Of<RoundCommittedEvent>(events_)[0].record.reports.size(), 1u);
}

}  // namespace
}  // namespace longstride
