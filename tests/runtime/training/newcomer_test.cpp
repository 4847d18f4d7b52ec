// A newcomer to a job whose state is too large to hold the others up for: it gets it in the
// background and takes part with nothing meanwhile.
#include <gtest/gtest.h>

#include <filesystem>

#include "cluster.h"

namespace longstride::testing {
namespace {

// Over a mebibyte of parameters and outer velocity: some ten chunks.
TrainingJob LargeJob() {
  TrainingJob job = SmallJob();
  job.spec.model.mlp.hidden = {256, 256};
  job.spec.training.synchronization.outer = {
      .kind = OuterOptimizerKind::kNesterov, .learning_rate = 0.7, .momentum = 0.9};
  job.spec.training.local_steps.steps = 2;
  job.spec.training.max_samples = 64 * 50;
  return job;
}

constexpr int64_t kSamples = 2 * 32;  // of a round

// `members` with some rounds behind them, which leave their generation in good order.
Cluster Trained(const TrainingJob& job, int members, const std::string& checkpoints = "") {
  Cluster cluster(job, members, checkpoints);
  cluster.channel(0).request = BoundaryRequest::kReform;
  cluster.channel(0).stop_at_call = 3;
  for (const auto& outcome : cluster.Run({EqualPlan(members)}))
    EXPECT_TRUE(outcome.ok() && *outcome == Outcome::kReformed);
  for (int r = 0; r < members; ++r) cluster.channel(r).stop_at_call = 0;
  return cluster;
}

void ExpectOk(const std::vector<Result<Outcome>>& outcomes, Outcome expected) {
  for (const auto& outcome : outcomes) {
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    EXPECT_EQ(*outcome, expected);
  }
}

TEST(Newcomer, GetsTheStateWhileTheOthersTrainAndThenHasTheSameBits) {
  Cluster cluster = Trained(LargeJob(), 2);
  cluster.Adopt(Cluster(LargeJob(), 1));
  ExpectOk(cluster.Run({EqualPlan(3, 2, 4)}, 2), Outcome::kCompleted);
  EXPECT_EQ(cluster.Parameters(2), cluster.Parameters(0));
  EXPECT_EQ(cluster.Parameters(1), cluster.Parameters(0));
  ExpectLedgerLaw(cluster.reports(0));

  const std::vector<RoundReport>& of_newcomer = cluster.reports(2);
  EXPECT_EQ(of_newcomer.front().round, 4);
  EXPECT_EQ(of_newcomer.front().local_samples, 0);
  EXPECT_FALSE(of_newcomer.front().statistics_finite);
  EXPECT_GT(of_newcomer.back().local_samples, 0);
  EXPECT_EQ(of_newcomer.back().digest, cluster.reports(0).back().digest);
  for (const RoundReport& r : cluster.reports(0))
    EXPECT_EQ(r.samples, kSamples) << "the others make up for it";
}

TEST(Newcomer, MayHaveTheLowestRankAndSeveralMayComeAtOnce) {
  Cluster cluster(LargeJob(), 2);
  cluster.Adopt(Trained(LargeJob(), 2));
  cluster.Adopt(Cluster(LargeJob(), 1));
  ExpectOk(cluster.Run({EqualPlan(5, 2, 4)}, 2), Outcome::kCompleted);
  for (int r = 1; r < 5; ++r) EXPECT_EQ(cluster.Parameters(r), cluster.Parameters(0));
  EXPECT_GT(cluster.reports(0).back().local_samples, 0);
  ExpectLedgerLaw(cluster.reports(2));
}

TEST(Newcomer, GetsBuffersAndCountsOfBatchNormalizationToo) {
  TrainingJob job = LargeJob();
  job.spec.model.kind = ModelKind::kResnet;
  job.spec.model.resnet.depth = 8;
  job.spec.data.synthetic.task = SyntheticTask::kImages;
  job.spec.data.synthetic.shape = {3, 8, 8};
  job.spec.training.max_samples = 64 * 30;
  Cluster cluster(job, 1);
  cluster.Adopt(Trained(job, 2));
  ExpectOk(cluster.Run({EqualPlan(3, 2, 4)}, 2), Outcome::kCompleted);
  EXPECT_EQ(cluster.reports(0).front().local_samples, 0);
  EXPECT_GT(cluster.reports(0).back().local_samples, 0);
  // The digest is of the buffers too.
  EXPECT_EQ(cluster.reports(0).back().digest, cluster.reports(1).back().digest);
}

TEST(Newcomer, EachByteOfTheStateIsSentOnce) {
  Cluster cluster = Trained(LargeJob(), 2);
  cluster.Adopt(Cluster(LargeJob(), 1));
  ExpectOk(cluster.Run({EqualPlan(3, 2, 4)}, 2), Outcome::kCompleted);
  int64_t received = 0;
  for (const RoundReport& r : cluster.reports(2))
    received += r.bytes_received[static_cast<int>(Purpose::kState)];
  const auto state = static_cast<int64_t>(2 * sizeof(double) * cluster.Parameters().size());
  EXPECT_GE(received, state);
  EXPECT_LE(received, state + state / 50) << "besides gaps and announcements";
}

// Robust statistics do without the newcomer, who still has to take part in the calls for them.
TEST(Newcomer, TakesPartWithNothingInRobustStatistics) {
  const auto run = [](NoiseEstimator estimator, BatchTest test) {
    TrainingJob job = LargeJob();
    job.spec.training.synchronization.aggregation = Aggregation::kClippedMean;
    job.spec.training.batch.policy = BatchPolicy::kAdaptive;
    job.spec.limits.max_global_batch = job.spec.training.batch.initial;
    job.spec.training.batch.norm_test.estimator = estimator;
    job.spec.training.batch.norm_test.test = test;
    Cluster cluster = Trained(job, 2);
    cluster.Adopt(Cluster(job, 1));
    ExpectOk(cluster.Run({EqualPlan(3, 2, 4)}, 2), Outcome::kCompleted);
    EXPECT_EQ(cluster.Parameters(2), cluster.Parameters(0));
    const RoundReport& first = cluster.reports(2).front();
    EXPECT_EQ(first.local_samples, 0);
    EXPECT_TRUE(first.statistics_finite);
    EXPECT_GT(first.noise_variance, 0);
    EXPECT_GT(cluster.reports(2).back().local_samples, 0);
  };
  run(NoiseEstimator::kExact, BatchTest::kNorm);
  run(NoiseEstimator::kExact, BatchTest::kInnerProduct);
  run(NoiseEstimator::kSketch, BatchTest::kInnerProduct);
  run(NoiseEstimator::kSketch, BatchTest::kAugmentedInnerProduct);
}

// A generation with a newcomer of rank 2 that breaks before its first round is committed: in the
// first exchange of updates, before which no newcomer can have all of the state.
void BreakEarly(Cluster& cluster) {
  const auto outcomes = cluster.Run({EqualPlan(3, 2, 4)}, 2, DiesIn(Purpose::kModel, 1));
  for (const auto& outcome : outcomes) EXPECT_FALSE(outcome.ok());
}

TEST(Newcomer, HoldsNothingWhenItsGenerationBreaksAndBeginsAnewInTheNext) {
  Cluster cluster = Trained(LargeJob(), 2);
  cluster.Adopt(Cluster(LargeJob(), 1));
  BreakEarly(cluster);
  EXPECT_EQ(cluster.engine(0).round(), 3);
  EXPECT_EQ(cluster.engine(2).round(), 0);
  ExpectOk(cluster.Run({EqualPlan(3, 2, 4)}, 3), Outcome::kCompleted);
  EXPECT_EQ(cluster.Parameters(2), cluster.Parameters(0));
  ExpectLedgerLaw(cluster.reports(0));
}

TEST(Newcomer, StartsAnewWhenAllWhoHeldTheStateAreGone) {
  Cluster cluster = Trained(LargeJob(), 2);
  cluster.Adopt(Cluster(LargeJob(), 1));
  BreakEarly(cluster);
  cluster.Remove(0);
  cluster.Remove(0);
  const auto outcomes = cluster.Run({EqualPlan(1, 3, 5)}, 3);
  ASSERT_FALSE(outcomes[0].ok());
  EXPECT_EQ(outcomes[0].error().code, ErrorCode::kTransient);
}

TEST(Newcomer, GetsTheRestAtOnceWhenTheRunStopsBeforeItIsThere) {
  TrainingJob job = LargeJob();
  const std::string folder = FreshFolder("newcomer-stop");
  Cluster cluster = Trained(job, 2, folder);
  cluster.Adopt(Cluster(job, 1, folder));
  cluster.channel(0).request = BoundaryRequest::kStop;
  cluster.channel(0).stop_at_call = cluster.channel(0).calls + 1;
  ExpectOk(cluster.Run({EqualPlan(3, 2, 4)}, 2), Outcome::kStopped);
  EXPECT_EQ(cluster.Parameters(2), cluster.Parameters(0));
  EXPECT_EQ(cluster.reports(2).back().digest, cluster.reports(0).back().digest);
  EXPECT_TRUE(cluster.reports(0).back().checkpointed);
  Cluster resumed(job, 1, folder);
  ASSERT_TRUE(resumed.engine(0).Resume(folder).ok());
  EXPECT_EQ(resumed.engine(0).round(), 4);
}

TEST(Newcomer, DoesNotHoldUpAMemberThatLeaves) {
  TrainingJob job = LargeJob();
  job.spec.model.mlp.hidden = {768, 768};
  const std::string folder = FreshFolder("newcomer-leave");
  Cluster cluster = Trained(job, 2, folder);
  cluster.Adopt(Cluster(job, 1, folder));
  cluster.channel(1).request = BoundaryRequest::kLeave;
  cluster.channel(1).stop_at_call = cluster.channel(1).calls + 1;
  const auto outcomes = cluster.Run({EqualPlan(3, 2, 4)}, 2);
  for (const auto& outcome : outcomes) ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(*outcomes[1], Outcome::kLeft);
  // Whether it had all of the state after one round is a matter of time.
  const bool whole = !cluster.reports(2).back().digest.empty();
  EXPECT_EQ(cluster.reports(0).back().checkpointed, whole);
  EXPECT_EQ(cluster.reports(2).back().checkpointed, whole);
}

TEST(Newcomer, EvaluationsAndCheckpointsThatFallDueMeanwhileAreMadeUpFor) {
  TrainingJob job = LargeJob();
  job.spec.evaluation.every_samples = kSamples;
  job.spec.checkpoint.every_rounds = 4;
  const std::string folder = FreshFolder("newcomer-due");
  Cluster cluster = Trained(job, 2, folder);
  cluster.Adopt(Cluster(job, 1, folder));
  ExpectOk(cluster.Run({EqualPlan(3, 2, 4)}, 2), Outcome::kCompleted);
  bool whole = false;
  for (const RoundReport& r : cluster.reports(2)) {
    const bool became = !whole && !r.digest.empty();
    whole = whole || became;
    EXPECT_EQ(r.evaluation_loss.has_value(), whole) << "round " << r.round;
    EXPECT_EQ(r.checkpointed, whole && (became || r.round % 4 == 0 || r.round == 50)) << r.round;
  }
}

}  // namespace
}  // namespace longstride::testing
