// Joining, and the first generation.
#include "tests/controller/coordinator/coordinator_fixture.h"

namespace longstride {
namespace {

using ::testing::HasSubstr;

TEST_F(CoordinatorTest, NoGenerationBeforeAllReplicasHaveJoined) {
  Make(3);
  ASSERT_TRUE(Join(0).ok());
  ASSERT_TRUE(Join(2).ok());
  EXPECT_FALSE(Poll(0).has_value());
  ASSERT_TRUE(Join(1).ok());
  ASSERT_TRUE(Poll(0).has_value());
  EXPECT_EQ(Poll(0)->generation->id, kFirst);
}

TEST_F(CoordinatorTest, RanksAreSortedByGroupAndIndexWhateverTheOrderOfArrival) {
  CoordinatorOptions options;
  options.job = MakeJob(4);
  options.job.spec.workers = MakeGroups({"slow", "fast"});
  Make(4, options);
  for (const auto& [group, index] : std::vector<std::pair<std::string, int64_t>>{
           {"slow", 1}, {"fast", 1}, {"slow", 0}, {"fast", 0}}) {
    ASSERT_TRUE(coordinator_->Join(MakeJoin(index, group), clock_.Now()).ok());
  }
  const auto reply =
      coordinator_->PollGeneration({MakeJoin(0, "slow").worker, {}, 0, "", 1}, clock_.Now());
  ASSERT_TRUE(reply && reply->generation);
  std::vector<std::string> names;
  for (const Member& m : reply->generation->members) {
    names.push_back(m.worker.group + std::to_string(m.worker.index));
  }
  EXPECT_THAT(names, ::testing::ElementsAre("fast0", "fast1", "slow0", "slow1"));
  EXPECT_EQ(reply->generation->rank, 2);
}

TEST_F(CoordinatorTest, JoinRefusesWhatDoesNotFitTheJob) {
  Make(2);
  JoinRequest other_protocol = MakeJoin(0);
  other_protocol.protocol = kProtocolVersion + 1;
  const auto refusal = [&](const JoinRequest& join) {
    const Status status = coordinator_->Join(join, clock_.Now());
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kUser);
    return status.error().message;
  };
  EXPECT_THAT(refusal(other_protocol), HasSubstr("protocol 4, the coordinator 3"));
  EXPECT_THAT(refusal(MakeJoin(0, "gpu")), HasSubstr("no worker group \"gpu\""));
  EXPECT_THAT(refusal(MakeJoin(2)), HasSubstr("out of range"));
}

TEST_F(CoordinatorTest, JoinRefusesMoreThanTheReplicas) {
  CoordinatorOptions options;
  options.job = MakeJob(2);
  options.job.spec.workers = MakeGroups({"a", "b"});
  Make(2, options);
  ASSERT_TRUE(coordinator_->Join(MakeJoin(0, "a"), clock_.Now()).ok());
  ASSERT_TRUE(coordinator_->Join(MakeJoin(0, "b"), clock_.Now()).ok());
  const Status third = coordinator_->Join(MakeJoin(1, "b"), clock_.Now());
  ASSERT_FALSE(third.ok());
  EXPECT_THAT(third.error().message, HasSubstr("with 2 replicas, group b has places 0 to 0"));
}

TEST_F(CoordinatorTest, ANewIncarnationTakesOverBeforeTrainingBegins) {
  Make(2);
  ASSERT_TRUE(coordinator_->Join(MakeJoin(0, "worker", "old"), clock_.Now()).ok());
  ASSERT_TRUE(coordinator_->Join(MakeJoin(0, "worker", "new"), clock_.Now()).ok());
  ASSERT_TRUE(coordinator_->Join(MakeJoin(1, "worker", "one"), clock_.Now()).ok());
  const auto old = coordinator_->PollGeneration({MakeJoin(0, "worker", "old").worker, {}, 0, "", 1},
                                                clock_.Now());
  ASSERT_TRUE(old.has_value());
  EXPECT_EQ(old->state, MemberState::kFenced);
  const auto present = coordinator_->PollGeneration(
      {MakeJoin(0, "worker", "new").worker, {}, 0, "", 1}, clock_.Now());
  EXPECT_EQ(present->state, MemberState::kTraining);
}

TEST_F(CoordinatorTest, AJoinThatIsSentAgainChangesNothing) {
  Make(2);
  JoinAll();
  EXPECT_TRUE(Join(1).ok());
  EXPECT_FALSE(coordinator_->end().has_value());
  Collect();
  EXPECT_EQ(Of<JoinedEvent>(events_).size(), 2u);
}

TEST_F(CoordinatorTest, TheStoreHoldsTheKeysOfThePresentGenerationOnly) {
  Make(1);
  EXPECT_EQ(coordinator_->StoreSet({kFirst, "k", {1}}).error().code, ErrorCode::kLostPeer);
  JoinAll();
  EXPECT_EQ(coordinator_->StoreSet({{7, 0}, "k", {1}}).error().code, ErrorCode::kLostPeer);
  ASSERT_TRUE(coordinator_->StoreSet({kFirst, "k", {1}}).ok());
  EXPECT_FALSE(coordinator_->StoreRead({kFirst, 2, 1}, false)->has_value());
  EXPECT_EQ((*coordinator_->StoreRead({kFirst, 2, 1}, true))->entries.size(), 1u);
  ASSERT_TRUE(coordinator_->StoreSet({kFirst, "l", {2}}).ok());
  EXPECT_EQ((*coordinator_->StoreRead({kFirst, 2, 1}, false))->entries.size(), 2u);
}

TEST_F(CoordinatorTest, TheStoreIsBounded) {
  Make(1);
  JoinAll();
  const std::vector<uint8_t> value(size_t{256} << 10);
  Status status;
  int stored = 0;
  while ((status = coordinator_->StoreSet({kFirst, std::to_string(stored), value})).ok()) ++stored;
  EXPECT_EQ(status.error().code, ErrorCode::kResource);
  EXPECT_GT(stored, 100);
  EXPECT_TRUE(coordinator_->StoreSet({kFirst, "0", {}}).ok());  // replacing by less is possible
}

TEST_F(CoordinatorTest, PlanOnlyEndsWithThePlanAndItsPrediction) {
  CoordinatorOptions options;
  options.mode = CoordinatorMode::kPlanOnly;
  Make(2, options);
  JoinAll();
  EXPECT_EQ(End().outcome, JobOutcome::kPlanned);
  const auto plans = Of<PlanIssuedEvent>(events_);
  ASSERT_EQ(plans.size(), 1u);
  EXPECT_THAT(plans[0].prediction->batches, ::testing::ElementsAre(32, 32));
  EXPECT_EQ(Poll(0)->state, MemberState::kEnded);
  EXPECT_FALSE(Poll(0)->failed);
}

TEST_F(CoordinatorTest, ABatchThatCannotBeSplitEndsTheJobAsAUserError) {
  CoordinatorOptions options;
  options.job = MakeJob(2);
  options.job.spec.workers[0].batch = {64, 128};
  options.job.spec.training.batch.initial = 100;
  Make(2, options);
  JoinAll();
  EXPECT_EQ(End().outcome, JobOutcome::kFailed);
  EXPECT_EQ(End().code, ErrorCode::kUser);
}

TEST_F(CoordinatorTest, WithAStartWaitTrainingBeginsWithTheLeastThatTheGroupsAllow) {
  CoordinatorOptions options;
  options.job = MakeJob(3);
  options.job.spec.workers[0].min_replicas = 2;
  options.start_wait = std::chrono::seconds(10);
  Make(3, options);
  ASSERT_TRUE(Join(0).ok());
  Pass(std::chrono::seconds(11), {0});
  EXPECT_FALSE(Poll(0)) << "one is too few";
  ASSERT_TRUE(Join(1).ok());
  ASSERT_TRUE(Poll(0));
  EXPECT_EQ(Poll(0)->generation->members.size(), 2U);
}

TEST_F(CoordinatorTest, FewerWorkersBeginWithTheBatchThatTheyCanTake) {
  CoordinatorOptions options;
  options.job = MakeJob(4);
  options.job.spec.workers[0].batch = {1, 64};
  options.job.spec.training.batch.initial = 256;
  options.start_wait = std::chrono::seconds(30);
  Make(4, options);
  ASSERT_TRUE(Join(0).ok());
  Pass(std::chrono::seconds(31), {0});
  EXPECT_FALSE(coordinator_->end()) << coordinator_->end()->reason;
  ASSERT_TRUE(Poll(0));
  EXPECT_EQ(Poll(0)->generation->plans.back().shares.size(), 1U);
}

}  // namespace
}  // namespace longstride
