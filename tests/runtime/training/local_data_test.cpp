// data.placement local: every worker reads its own shard.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "cluster.h"
#include "core/schedule/ledger.h"

namespace longstride::testing {
namespace {

TrainingJob LocalJob() {
  TrainingJob job = SmallJob();
  job.spec.data.placement = DataPlacement::kLocal;
  return job;
}

// The samples of another set from `begin` on, of one class only or with features scaled, if wanted.
class Excerpt final : public Dataset {
 public:
  Excerpt(std::shared_ptr<const Dataset> from, int64_t begin, int64_t size, int64_t label = -1,
          float scale = 1)
      : from_(std::move(from)), scale_(scale) {
    Batch batch;
    for (int64_t i = begin; i < from_->size() && this->size() < size; ++i) {
      from_->Read(std::span(&i, 1), batch);
      if (label < 0 || batch.labels[0] == label) indices_.push_back(i);
    }
  }
  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  const DataShape& shape() const override { return from_->shape(); }
  void Read(std::span<const int64_t> indices, Batch& batch) const override {
    std::vector<int64_t> in_whole;
    for (const int64_t i : indices) in_whole.push_back(indices_[static_cast<size_t>(i)]);
    from_->Read(in_whole, batch);
    for (float& x : batch.floats) x *= scale_;
  }

 private:
  std::shared_ptr<const Dataset> from_;
  std::vector<int64_t> indices_;
  float scale_;
};

using Shards = std::vector<std::shared_ptr<const Dataset>>;

Shards ShardsOf(const TrainingJob& job, const std::vector<int64_t>& sizes) {
  Shards shards;
  int64_t begin = 0;
  for (const int64_t size : sizes) {
    shards.push_back(std::make_shared<Excerpt>(TrainingSet(job), begin, size));
    begin += size;
  }
  return shards;
}

// One class a worker: as unlike as data can be.
Shards ShardsByClass(const TrainingJob& job) {
  Shards shards;
  for (int64_t label = 0; label < 4; ++label)
    shards.push_back(std::make_shared<Excerpt>(TrainingSet(job), 0, 512, label));
  return shards;
}

TEST(LocalData, UpdatesAreWeightedByTheSizesOfTheShards) {
  TrainingJob job = LocalJob();
  job.spec.training.max_samples = 16;  // one round
  // Shards of copies of one sample, so that the order of reading does not matter.
  class Copies final : public Dataset {
   public:
    Copies(std::shared_ptr<const Dataset> from, int64_t index, int64_t size)
        : from_(std::move(from)), index_(index), size_(size) {}
    int64_t size() const override { return size_; }
    const DataShape& shape() const override { return from_->shape(); }
    void Read(std::span<const int64_t> indices, Batch& batch) const override {
      from_->Read(std::vector<int64_t>(indices.size(), index_), batch);
    }

   private:
    std::shared_ptr<const Dataset> from_;
    int64_t index_, size_;
  };
  const auto one = std::make_shared<Copies>(TrainingSet(job), 3, 100);
  const auto other = std::make_shared<Copies>(TrainingSet(job), 4, 300);
  Cluster alone(job, Shards{one}), alone_too(job, Shards{other}), both(job, Shards{one, other});
  alone.RunToEnd({EqualPlan(1)});
  alone_too.RunToEnd({EqualPlan(1)});
  both.RunToEnd({ExactPlan({12, 4})});  // what a batch holds does not matter either
  const std::vector<double> a = alone.Parameters(), b = alone_too.Parameters();
  std::vector<double> expected;
  for (size_t i = 0; i < a.size(); ++i) expected.push_back(0.25 * a[i] + 0.75 * b[i]);
  EXPECT_LT(RelativeDifference(both.Parameters(), expected), 1e-12);
}

TEST(LocalData, AnEpochIsAllShardsTogether) {
  TrainingJob job = LocalJob();
  job.spec.training.max_samples = 0;
  job.spec.training.max_epochs = 2;
  Cluster cluster(job, ShardsOf(job, {64, 192}));
  cluster.RunToEnd({EqualPlan(2)});
  EXPECT_EQ(cluster.reports().back().cursor_end, 2 * 256);
  int evaluations = 0;
  for (const RoundReport& report : cluster.reports()) evaluations += !!report.evaluation_loss;
  EXPECT_EQ(evaluations, 2);
}

// The law in each shard, as reported.
void ExpectShardsKeepTheLaw(const std::vector<RoundReport>& reports) {
  Ledger ledger;
  for (const RoundReport& r : reports) {
    ShardCursors before, after;
    for (const ShardAdvance& s : r.shards) {
      if (s.cursor_begin > 0) before[s.shard] = s.cursor_begin;
      after[s.shard] = s.cursor_end;
    }
    EXPECT_EQ(before, ledger.cursors());
    const Status booked = ledger.Record({r.committed, r.discarded, r.lost});
    ASSERT_TRUE(booked.ok()) << "round " << r.round << ": " << booked.error().message;
    EXPECT_EQ(after, ledger.cursors());
    EXPECT_EQ(r.cursor_end, ledger.cursor());
    EXPECT_EQ(ledger.holes().ranges(), r.holes);
  }
  EXPECT_TRUE(ledger.Check().ok());
}

// Ends its member in the `at`-th exchange of updates.
class EndingCollective final : public ForwardingCollective {
 public:
  EndingCollective(std::unique_ptr<Collective> to, int at)
      : ForwardingCollective(std::move(to)), left_(at) {}
  Status AllReduceSum(std::span<double> data, Purpose purpose) override {
    if (purpose == Purpose::kModel && --left_ == 0) Abort();
    return ForwardingCollective::AllReduceSum(data, purpose);
  }

 private:
  int left_;
};

TEST(LocalData, WhatALostWorkerHadTakenWaitsForItsReplacement) {
  TrainingJob job = LocalJob();
  job.spec.training.max_samples = 3000;
  job.spec.training.local_steps.steps = 2;
  const Shards shards = ShardsOf(job, {150, 200, 162});
  Cluster cluster(job, shards);
  (void)cluster.Run({EqualPlan(3)}, 1,
                    [](std::unique_ptr<Collective> c) -> std::unique_ptr<Collective> {
                      if (c->rank() != 1) return c;
                      return std::make_unique<EndingCollective>(std::move(c), 5);
                    });
  cluster.Remove(1);
  cluster.channel(0).stop_at_call = cluster.channel(0).calls + 8;
  cluster.channel(0).request = BoundaryRequest::kReform;
  for (const auto& outcome : cluster.Run({EqualPlan(2, 2, 5)}, 2))
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;

  const std::vector<RoundReport>& reports = cluster.reports();
  const std::vector<PositionRange> lost = reports[4].lost;
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(ShardOf(lost[0].begin), 1);
  ASSERT_GT(reports.size(), 6u);
  for (size_t k = 5; k < reports.size(); ++k) {
    EXPECT_EQ(reports[k].holes, lost) << "nobody else can read them";
    for (const PositionRange& r : reports[k].committed) EXPECT_NE(ShardOf(r.begin), 1);
  }

  const size_t before = reports.size();
  cluster.Adopt(Cluster(job, Shards{shards[1]}));
  cluster.channel(0).stop_at_call = 0;
  for (const auto& outcome : cluster.Run({EqualPlan(3, 3, static_cast<int64_t>(before) + 1)}, 3)) {
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    EXPECT_EQ(*outcome, Outcome::kCompleted);
  }
  bool read_first = false;
  for (const PositionRange& r : reports[before].committed)
    read_first = read_first || r.begin == lost[0].begin;
  EXPECT_TRUE(read_first);
  EXPECT_TRUE(reports.back().holes.empty());
  ExpectShardsKeepTheLaw(reports);
}

TEST(LocalData, TheJobEndsWithoutTheHolesThatNobodyCanRead) {
  TrainingJob job = LocalJob();
  job.spec.training.max_samples = 600;
  Cluster cluster(job, ShardsOf(job, {256, 256}));
  (void)cluster.Run({EqualPlan(2)}, 1,
                    [](std::unique_ptr<Collective> c) -> std::unique_ptr<Collective> {
                      if (c->rank() != 1) return c;
                      return std::make_unique<EndingCollective>(std::move(c), 3);
                    });
  cluster.Remove(1);
  for (const auto& outcome : cluster.Run({EqualPlan(1, 2, 3)}, 2))
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  const RoundReport& last = cluster.reports().back();
  EXPECT_EQ(TotalSize(last.holes), 16);
  EXPECT_GE(last.cursor_end - TotalSize(last.holes), 600);
  ExpectShardsKeepTheLaw(cluster.reports());
}

TEST(LocalData, AShardThatChangedIsRefused) {
  TrainingJob job = LocalJob();
  Cluster cluster(job, ShardsOf(job, {256, 256}));
  (void)cluster.Run({EqualPlan(2)}, 1,
                    [](std::unique_ptr<Collective> c) -> std::unique_ptr<Collective> {
                      if (c->rank() != 1) return c;
                      return std::make_unique<EndingCollective>(std::move(c), 3);
                    });
  cluster.Remove(1);
  cluster.Adopt(Cluster(job, ShardsOf(job, {255})));
  for (const auto& outcome : cluster.Run({EqualPlan(2, 2, 3)}, 2)) {
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().code, ErrorCode::kData);
    EXPECT_NE(outcome.error().message.find("worker-1 has 255 samples, but had 256"),
              std::string::npos)
        << outcome.error().message;
  }
}

TEST(LocalData, ResumedRunsEqualUndisturbedOnes) {
  TrainingJob job = LocalJob();
  job.spec.training.batch.policy = BatchPolicy::kAdaptive;
  job.spec.training.local_steps.policy = LocalStepsPolicy::kAuto;
  job.spec.training.local_steps.max_steps = 16;
  job.spec.checkpoint.every_rounds = 2;
  const Shards shards = ShardsByClass(job);
  Plan plan = EqualPlan(4);
  for (PlanShare& share : plan.shares) share.beta = 0.01;
  plan.sync_seconds = 1;
  Cluster undisturbed(job, shards);
  undisturbed.RunToEnd({plan});
  const std::string folder = FreshFolder("resume-local");
  {
    Cluster first(job, shards, folder);
    first.channel(2).stop_at_call = 3;
    for (const auto& outcome : first.Run({plan})) ASSERT_EQ(*outcome, Outcome::kStopped);
  }
  Cluster second(job, shards, folder);
  for (int r = 0; r < 4; ++r) ASSERT_TRUE(second.engine(r).Resume(folder).ok());
  second.RunToEnd({plan});
  EXPECT_EQ(second.Parameters(), undisturbed.Parameters());
  EXPECT_EQ(second.reports().back().skew_limit, undisturbed.reports().back().skew_limit);
}

TrainingJob AutoJob() {
  TrainingJob job = LocalJob();
  job.spec.training.batch.policy = BatchPolicy::kAdaptive;
  job.spec.training.batch.initial = 64;
  job.spec.training.max_samples = 20000;
  job.spec.training.local_steps.policy = LocalStepsPolicy::kAuto;
  job.spec.training.local_steps.max_steps = 32;
  job.spec.limits.max_global_batch = 1024;
  job.spec.data.synthetic.noise = 1;
  return job;
}

Plan SlowLink() {
  Plan plan = EqualPlan(4);
  for (PlanShare& share : plan.shares) share.beta = 0.001;
  plan.sync_seconds = 100;  // asks for more steps than maxSteps
  return plan;
}

TEST(Skew, IsSeenAndLowersHOnUnlikeDataOnly) {
  const TrainingJob job = AutoJob();
  Cluster unlike(job, ShardsByClass(job)), alike(job, ShardsOf(job, {128, 128, 128, 128}));
  unlike.RunToEnd({SlowLink()});
  alike.RunToEnd({SlowLink()});
  EXPECT_EQ(unlike.reports().front().local_steps, 32) << "nothing is known of the data yet";
  const RoundReport& skewed = unlike.reports()[1];
  EXPECT_GT(unlike.reports()[0].skew, unlike.reports()[0].noise_variance);
  EXPECT_LT(skewed.local_steps, 32);
  EXPECT_EQ(skewed.local_steps, unlike.reports()[0].skew_limit);
  EXPECT_LT(alike.reports()[0].skew, 0.5 * alike.reports()[0].noise_variance);
  EXPECT_GT(alike.reports()[1].local_steps, 2 * skewed.local_steps);
}

TEST(Skew, IsNotAnsweredWithLargerBatches) {
  TrainingJob job = AutoJob();
  job.spec.training.local_steps.policy = LocalStepsPolicy::kConstant;
  job.spec.training.local_steps.steps = 1;
  job.spec.data.synthetic.noise = 0.05;
  job.spec.training.max_samples = 5000;
  Cluster local(job, ShardsByClass(job));
  local.RunToEnd({EqualPlan(4)});
  job.spec.data.placement = DataPlacement::kShared;
  Shards parts = ShardsByClass(job);
  const auto by_size = [](const auto& part) { return part->size(); };
  const int64_t smallest = std::ranges::min(parts, {}, by_size)->size();
  for (auto& part : parts) part = std::make_shared<Excerpt>(part, 0, smallest);
  Cluster shared(job, parts);  // takes skew for noise
  shared.RunToEnd({EqualPlan(4)});
  EXPECT_LT(2 * local.reports().back().next_global_batch,
            shared.reports().back().next_global_batch);
  EXPECT_LT(local.reports()[0].noise_variance, 0.2 * shared.reports()[0].noise_variance);
}

// Statistics under a robust aggregation, with rank 2's features scaled.
std::vector<RoundReport> WithScaledWorker(Aggregation aggregation, NoiseEstimator estimator,
                                          float scale) {
  TrainingJob job = SmallJob();
  job.spec.data.synthetic.noise = 1;
  job.spec.training.batch.policy = BatchPolicy::kAdaptive;
  job.spec.training.batch.initial = 64;
  job.spec.training.batch.norm_test.estimator = estimator;
  job.spec.training.learning_rate.value = 1e-4;  // all runs measure the same model
  job.spec.limits.max_global_batch = 64;
  job.spec.training.synchronization.aggregation = aggregation;
  const auto clean = TrainingSet(job);
  const auto bad = std::make_shared<Excerpt>(clean, 0, 512, -1, scale);
  Cluster cluster(job, Shards{clean, clean, bad, clean});
  (void)cluster.Run({EqualPlan(4)});
  return cluster.reports();
}

double MeanNoise(const std::vector<RoundReport>& reports) {
  double sum = 0;
  for (const RoundReport& report : reports) sum += report.noise_variance;
  return sum / static_cast<double>(reports.size());
}

TEST(RobustStatistics, AreNotDrivenByAnAbnormalWorker) {
  for (const NoiseEstimator estimator :
       {NoiseEstimator::kSketch, NoiseEstimator::kExact, NoiseEstimator::kMicrobatch}) {
    const double clean = MeanNoise(WithScaledWorker(Aggregation::kMean, estimator, 1));
    const double driven = MeanNoise(WithScaledWorker(Aggregation::kMean, estimator, 100));
    EXPECT_GT(driven, 10 * clean);
    for (const Aggregation aggregation : {Aggregation::kTrimmedMean, Aggregation::kClippedMean}) {
      const double robust = MeanNoise(WithScaledWorker(aggregation, estimator, 100));
      EXPECT_NEAR(robust / clean, 1, 0.25);
      EXPECT_NEAR(MeanNoise(WithScaledWorker(aggregation, estimator, 1)) / clean, 1, 0.1)
          << "healthy workers are measured as ever";
    }
  }
}

TEST(RobustStatistics, GoOnWithoutAWorkerWhoseGradientIsNotFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Aggregation aggregation : {Aggregation::kMean, Aggregation::kTrimmedMean}) {
    const bool robust = aggregation != Aggregation::kMean;
    for (const NoiseEstimator estimator : {NoiseEstimator::kSketch, NoiseEstimator::kExact}) {
      const RoundReport first = WithScaledWorker(aggregation, estimator, nan).at(0);
      EXPECT_EQ(first.statistics_finite, robust);
      EXPECT_EQ(first.noise_variance > 0, robust);
    }
  }
}

}  // namespace
}  // namespace longstride::testing
