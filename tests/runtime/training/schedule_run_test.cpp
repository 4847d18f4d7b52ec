// Cursor, limits, plans, stops and learning rates over whole runs.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>

#include "cluster.h"
#include "runtime/training/training_state.h"

namespace longstride::testing {
namespace {

TEST(Ledger, RangesFollowEachOtherAndTheirSumIsTheCursor) {
  TrainingJob job = SmallJob();
  job.spec.training.local_steps.steps = 5;
  job.spec.training.batch.policy = BatchPolicy::kAdaptive;
  job.spec.training.max_samples = 6000;
  Cluster cluster(job, 3);
  cluster.RunToEnd({EqualPlan(3)});
  int64_t cursor = 0;
  for (size_t k = 0; k < cluster.reports().size(); ++k) {
    const RoundReport& report = cluster.reports()[k];
    EXPECT_EQ(report.round, static_cast<int64_t>(k) + 1);
    EXPECT_EQ(report.cursor_begin, cursor);
    EXPECT_EQ(report.cursor_end - report.cursor_begin, report.local_steps * report.global_batch);
    EXPECT_EQ(report.samples, report.cursor_end - report.cursor_begin);
    int64_t local = 0;
    for (int r = 0; r < 3; ++r) {
      EXPECT_EQ(cluster.reports(r)[k].local_samples,
                report.local_steps * cluster.reports(r)[k].local_batch);
      local += cluster.reports(r)[k].local_samples;
    }
    EXPECT_EQ(local, report.samples);
    if (k > 0) {
      EXPECT_EQ(report.global_batch, cluster.reports()[k - 1].next_global_batch);
    }
    cursor = report.cursor_end;
  }
  EXPECT_GE(cursor, 6000);
}

TEST(Limits, TheRunEndsAtTheLimitOrLessThanOneBatchBeyond) {
  for (const int64_t limit : {32, 100, 479, 480, 481}) {
    TrainingJob job = SmallJob();
    job.spec.training.local_steps.steps = 4;
    job.spec.training.max_samples = limit;
    Cluster cluster(job, 2);
    cluster.RunToEnd({EqualPlan(2)});
    EXPECT_GE(cluster.reports().back().cursor_end, limit);
    EXPECT_LT(cluster.reports().back().cursor_end, limit + 32);
  }
}

TEST(Limits, EpochsCountTheTrainingSet) {
  TrainingJob job = SmallJob();
  job.spec.training.max_samples = 0;
  job.spec.training.max_epochs = 1.5;
  Cluster cluster(job, 2);
  cluster.RunToEnd({EqualPlan(2)});
  EXPECT_EQ(cluster.reports().back().cursor_end, 768);
}

// Which samples were read, over all workers.
class CountingDataset final : public Dataset {
 public:
  explicit CountingDataset(std::shared_ptr<const Dataset> from)
      : from_(std::move(from)), counts_(static_cast<size_t>(from_->size())) {}
  int64_t size() const override { return from_->size(); }
  const DataShape& shape() const override { return from_->shape(); }
  void Read(std::span<const int64_t> indices, Batch& batch) const override {
    from_->Read(indices, batch);
    for (const int64_t i : indices) ++counts_[static_cast<size_t>(i)];
  }
  std::vector<int> Counts() const { return {counts_.begin(), counts_.end()}; }

 private:
  std::shared_ptr<const Dataset> from_;
  mutable std::vector<std::atomic<int>> counts_;
};

TEST(Samples, AreReadExactlyOnceInEveryEpoch) {
  TrainingJob job = SmallJob();
  job.spec.training.local_steps.steps = 5;
  job.spec.training.max_samples = 2 * 512;
  const auto counting = std::make_shared<CountingDataset>(TrainingSet(job));
  Cluster cluster(job, {counting, counting, counting});
  cluster.RunToEnd({ExactPlan({7, 13, 12})});
  EXPECT_EQ(cluster.reports().back().cursor_end, 1024);
  for (const int count : counting->Counts()) EXPECT_EQ(count, 2);
}

TEST(Plans, TakeEffectInOneRoundEverywhereOnceAllMembersHaveThem) {
  TrainingJob job = SmallJob();
  job.spec.training.local_steps.steps = 2;
  job.spec.training.max_samples = 1280;  // 20 rounds
  Cluster cluster(job, 3);
  const Plan first = ExactPlan({10, 11, 11});
  // Ranks 0 and 2 have the new plan from the start, rank 1 only from its fifth round on.
  const Plan second = ExactPlan({20, 4, 8}, 2, 3);
  cluster.channel(0).plans = {first, second};
  cluster.channel(2).plans = {first, second};
  cluster.channel(1).plans_from_call = 5;
  cluster.channel(1).later_plans = {first, second};
  cluster.RunToEnd({first});
  for (int r = 0; r < 3; ++r) {
    for (const RoundReport& report : cluster.reports(r)) {
      const bool changed = report.round >= 6;
      EXPECT_EQ(report.plan_version, changed ? 2 : 1) << "rank " << r << " round " << report.round;
      EXPECT_EQ(report.local_batch,
                (changed ? second : first).shares[static_cast<size_t>(r)].max_batch);
    }
  }
}

TEST(Plans, WaitForTheirFirstRound) {
  TrainingJob job = SmallJob();
  job.spec.training.max_samples = 640;
  Cluster cluster(job, 2);
  cluster.RunToEnd({ExactPlan({16, 16}), ExactPlan({20, 12}, 2, 11)});
  for (const RoundReport& report : cluster.reports())
    EXPECT_EQ(report.plan_version, report.round < 11 ? 1 : 2);
}

TEST(Plans, MissingForTheNumberOfWorkersIsAnErrorNotACrash) {
  Cluster cluster(SmallJob(), 2);
  for (const auto& outcome : cluster.Run({EqualPlan(3)})) {
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().code, ErrorCode::kBug);
  }
}

// Shares of at most 64 samples, as of a group with batch.max 64.
Plan BoundedPlan(int workers, int64_t version, int64_t first_round) {
  Plan plan = EqualPlan(workers, version, first_round);
  for (PlanShare& share : plan.shares) share.max_batch = 64;
  return plan;
}

TEST(AFixedBatch, IsTheInitialOneAgainWhenItsWorkersAre) {
  for (const int survivors : {1, 3}) {  // one alone measures no noise
    TrainingJob job = SmallJob();
    job.spec.training.batch.initial = 256;
    job.spec.training.max_samples = 256 * 20;
    Cluster cluster(job, 4);
    const auto run = [&](std::vector<Plan> plans, int64_t counter, int stop_at) {
      cluster.channel(0).calls = 0;
      cluster.channel(0).stop_at_call = stop_at;
      for (const auto& outcome : cluster.Run(plans, counter))
        ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    };
    run({BoundedPlan(4, 1, 0)}, 1, 2);
    while (cluster.size() > survivors) cluster.Remove(cluster.size() - 1);
    run({BoundedPlan(survivors, 2, 3)}, 2, 2);
    EXPECT_EQ(cluster.reports().back().global_batch, 64 * survivors);
    cluster.Adopt(Cluster(job, 4 - survivors));
    run({BoundedPlan(4, 3, 5)}, 3, 0);
    for (const RoundReport& report : cluster.reports()) {
      const bool fewer = report.round == 3 || report.round == 4;
      EXPECT_EQ(report.global_batch, fewer ? 64 * survivors : 256) << report.round;
    }
  }
}

TEST(AFixedBatch, FollowsTheManifestWhenARunIsResumed) {
  TrainingJob job = SmallJob();
  const std::string folder = FreshFolder("fixed-batch");
  Cluster first(job, 2, folder);
  first.channel(0).stop_at_call = 3;
  for (const auto& outcome : first.Run({EqualPlan(2)})) ASSERT_TRUE(outcome.ok());
  job.spec.training.batch.initial = 48;
  Cluster second(job, 2, folder);
  for (int r = 0; r < 2; ++r) ASSERT_TRUE(second.engine(r).Resume(folder).ok());
  second.RunToEnd({EqualPlan(2)});
  for (const RoundReport& report : second.reports()) EXPECT_EQ(report.global_batch, 48);
}

TEST(Stop, AskedOfOneWorkerStopsAllAtTheSameRound) {
  Cluster cluster(SmallJob(), 3);
  cluster.channel(2).stop_at_call = 7;
  for (const auto& outcome : cluster.Run({EqualPlan(3)})) {
    ASSERT_TRUE(outcome.ok());
    EXPECT_EQ(*outcome, Outcome::kStopped);
  }
  for (int r = 0; r < 3; ++r) EXPECT_EQ(cluster.engine(r).round(), 7);
}

TEST(Digests, AgreeAcrossRanksForEveryOptimizer) {
  for (const auto outer :
       {OuterOptimizerKind::kAverage, OuterOptimizerKind::kNesterov, OuterOptimizerKind::kSlowmo}) {
    TrainingJob job = SmallJob();
    job.spec.training.local_steps.steps = 4;
    job.spec.training.optimizer.kind = OptimizerKind::kAdam;
    job.spec.training.learning_rate.value = 0.01;
    job.spec.training.synchronization.outer.kind = outer;
    Cluster cluster(job, 4);
    cluster.RunToEnd({EqualPlan(4)});
    const double first = cluster.reports().front().loss, last = cluster.reports().back().loss;
    EXPECT_LT(last, first);
    for (size_t k = 0; k < cluster.reports().size(); ++k) {
      for (int r = 1; r < 4; ++r)
        EXPECT_EQ(cluster.reports(r)[k].digest, cluster.reports(0)[k].digest);
    }
  }
}

TEST(Messages, InBfloat16AreHalfAsLongAndTrainToTheSame) {
  int64_t sent[2] = {};
  double loss[2] = {};
  for (const MessageType message : {MessageType::kFloat32, MessageType::kBfloat16}) {
    TrainingJob job = SmallCnnJob();
    job.spec.training.precision = Precision::kFloat32;
    job.spec.training.local_steps.steps = 4;
    job.spec.training.max_samples = 6400;
    job.spec.training.synchronization.message = message;
    Cluster cluster(job, 4);
    cluster.RunToEnd({EqualPlan(4)});
    const auto i = static_cast<size_t>(message == MessageType::kBfloat16);
    for (const RoundReport& report : cluster.reports()) {
      sent[i] += report.bytes_sent[static_cast<size_t>(Purpose::kModel)];
    }
    loss[i] = *cluster.reports().back().evaluation_loss;
    for (int r = 1; r < 4; ++r)
      EXPECT_EQ(cluster.reports(r).back().digest, cluster.reports().back().digest);
  }
  std::printf("evaluation loss %.4f in float32, %.4f in bfloat16; bytes %ld and %ld\n", loss[0],
              loss[1], sent[0], sent[1]);
  EXPECT_NEAR(static_cast<double>(sent[1]) / static_cast<double>(sent[0]), 0.5, 0.02);
  EXPECT_NEAR(loss[1] / loss[0], 1, 0.05);
}

TEST(Buffers, AreTheSameOnAllRanksAfterEveryRound) {
  TrainingJob job = SmallCnnJob();
  job.spec.model.kind = ModelKind::kResnet;
  job.spec.model.resnet.depth = 8;
  job.spec.data.synthetic.shape = {3, 8, 8};
  job.spec.training.precision = Precision::kFloat32;
  job.spec.training.local_steps.steps = 2;
  job.spec.training.max_samples = 640;
  for (const MessageType message : {MessageType::kFloat32, MessageType::kBfloat16}) {
    job.spec.training.synchronization.message = message;
    Cluster cluster(job, 3);
    cluster.RunToEnd({ExactPlan({7, 12, 13})});
    // The digest covers running means and variances and their step counts.
    for (size_t k = 0; k < cluster.reports().size(); ++k) {
      for (int r = 1; r < 3; ++r)
        EXPECT_EQ(cluster.reports(r)[k].digest, cluster.reports()[k].digest);
    }
  }
}

TEST(LearningRate, FollowsTheScheduleInSamplesWhateverTheBatch) {
  TrainingJob job = SmallJob();
  job.spec.training.learning_rate.schedule = ScheduleKind::kLinear;
  job.spec.training.max_samples = 960;
  Cluster cluster(job, 2);
  cluster.RunToEnd({EqualPlan(2)});
  for (const RoundReport& report : cluster.reports()) {
    EXPECT_NEAR(report.learning_rate, 0.1 * (1 - static_cast<double>(report.cursor_begin) / 960),
                0.1 * 32 / 960);
  }
}

TEST(AdaScale, GainsNoMoreThanTheBatchThatIsLeftOfALargerOne) {
  TrainingJob job = SmallJob();
  job.spec.training.batch.policy = BatchPolicy::kAdaptive;
  job.spec.training.batch.initial = 64;
  job.spec.training.learning_rate.coupling = CouplingKind::kAdascale;
  TrainingState state;
  state.growth = {
      .batch = 1024, .observed = 9, .average = {.variance = 640, .corrected_norm_squared = 0.25}};
  for (const int64_t most : {1024, 256, 64, 16}) {
    Plan plan = EqualPlan(4);
    for (PlanShare& share : plan.shares) share.max_batch = most / 4;
    const auto settings = PlanRound(job.spec, 512, state, plan);
    ASSERT_TRUE(settings.ok()) << settings.error().message;
    EXPECT_EQ(settings->global_batch, most);
    const double scale = static_cast<double>(most) / 64;
    for (const double rate : settings->learning_rates) {
      EXPECT_GE(rate, std::min(1.0, scale) * 0.1);
      EXPECT_LE(rate, std::max(1.0, scale) * 0.1);
    }
    EXPECT_LE(settings->progress_per_step, std::max(64.0, static_cast<double>(most)));
  }
  state.growth.observed = 0;
  state.growth.average = {};
  EXPECT_EQ(PlanRound(job.spec, 512, state, EqualPlan(4))->learning_rates[0], 0.1);
}

TEST(GradientClipping, BoundsTheStep) {
  TrainingJob job = SmallJob();
  job.spec.training.gradient_clipping = 1e-3;
  job.spec.training.max_samples = 32;
  Cluster cluster(job, 1);
  const std::vector<double> before = cluster.Parameters();
  cluster.RunToEnd({EqualPlan(1)});
  const std::vector<double> after = cluster.Parameters();
  double squared = 0;
  for (size_t i = 0; i < before.size(); ++i)
    squared += (after[i] - before[i]) * (after[i] - before[i]);
  EXPECT_NEAR(std::sqrt(squared), 0.1 * 1e-3, 1e-9);
}

TEST(AutomaticLocalSteps, FollowThePlansTimes) {
  TrainingJob job = SmallJob();
  job.spec.training.local_steps = {
      .policy = LocalStepsPolicy::kAuto, .max_steps = 64, .communication_share = 0.1};
  job.spec.training.max_samples = 3200;
  Plan plan = EqualPlan(2);
  for (PlanShare& share : plan.shares) share.beta = 1e-3;  // 16 ms a step
  plan.sync_seconds = 0.016;                               // 9 steps make it a tenth
  Cluster cluster(job, 2);
  cluster.RunToEnd({plan});
  EXPECT_EQ(cluster.reports()[0].local_steps, 9);
}

TEST(TrainingState, OfACheckpointThatHoldsAllPlansOfTheRunHasTheLast) {
  TrainingState state;
  state.plan = EqualPlan(2);
  nlohmann::json json = ToJson(state);
  state.plan = ExactPlan({3, 4}, 2, 9);
  json["plans"].push_back(ToJson(state)["plans"][0]);
  const auto back = TrainingStateFromJson(json);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(ToJson(*back), ToJson(state));
}

TEST(TrainingState, SurvivesJsonBitForBit) {
  TrainingState state;
  state.round = 41;
  state.generation = {3, 7};
  ASSERT_TRUE(
      state.ledger.Record({.committed = {{0, 90}}, .discarded = {{90, 100}}, .lost = {}}).ok());
  state.growth = {
      .batch = 96, .observed = 40, .skipped = 1, .average = {0.1, std::nan(""), -1.0 / 3, 1e300}};
  state.progress = 1.0 / 3;
  state.evaluations = 2;
  state.plan = ExactPlan({3, 4}, 2, 9);
  const auto back = TrainingStateFromJson(nlohmann::json::parse(ToJson(state).dump()));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(ToJson(*back), ToJson(state));
  EXPECT_EQ(ScheduleDigest(*back), ScheduleDigest(state));
  EXPECT_EQ(back->ledger.cursor(), 100);

  nlohmann::json broken = ToJson(state);
  broken.erase("cursors");
  EXPECT_EQ(TrainingStateFromJson(broken).error().code, ErrorCode::kData);
  EXPECT_EQ(TrainingStateFromJson(nlohmann::json::parse("[", nullptr, false)).error().code,
            ErrorCode::kData);
}

}  // namespace
}  // namespace longstride::testing
