#include <gtest/gtest.h>

#include <atomic>
#include <cmath>

#include "cluster.h"

namespace longstride::testing {
namespace {

TEST(Evaluation, ShardedOverWorkersEqualsUnsharded) {
  std::vector<RoundReport> alone;
  for (int workers = 1; workers <= 4; ++workers) {
    TrainingJob job = SmallJob();
    job.spec.evaluation.every_samples = 320;
    Cluster cluster(job, workers);  // 101 evaluation samples: no even split
    cluster.RunToEnd({EqualPlan(workers)});
    if (workers == 1) alone = cluster.reports();
    for (size_t k = 0; k < alone.size(); ++k) {
      const RoundReport& report = cluster.reports()[k];
      ASSERT_EQ(report.evaluation_loss.has_value(), alone[k].evaluation_loss.has_value()) << k;
      if (!report.evaluation_loss) continue;
      EXPECT_NEAR(*report.evaluation_loss, *alone[k].evaluation_loss, 1e-9);
      EXPECT_DOUBLE_EQ(*report.evaluation_accuracy, *alone[k].evaluation_accuracy);
      for (int r = 1; r < workers; ++r) {
        EXPECT_EQ(report.evaluation_loss, cluster.reports(r)[k].evaluation_loss);
      }
    }
  }
  EXPECT_GT(*alone.back().evaluation_accuracy, 0.5);
}

// Counts sums that are waited for while the worker is said to be at work of its own.
class CountingCollective final : public ForwardingCollective {
 public:
  CountingCollective(std::unique_ptr<Collective> to, const std::vector<OwnWork>& works, int& count)
      : ForwardingCollective(std::move(to)), works_(works), count_(count) {}
  Status AllReduceSum(std::span<double> data, Purpose purpose) override {
    if (!works_.empty() && works_.back().kind != OwnWork::Kind::kNone) ++count_;
    return ForwardingCollective::AllReduceSum(data, purpose);
  }

 private:
  const std::vector<OwnWork>& works_;
  int& count_;
};

TEST(OwnWork, IsEachLocalStepAndEachBatchOfAnEvaluationAndNothingThatWaitsForOthers) {
  TrainingJob job = SmallJob();
  job.spec.training.local_steps.steps = 3;
  job.spec.training.max_samples = 96;  // one round, with an evaluation at its end
  Cluster cluster(job, 2);
  std::vector<int> at_work(2, 0);
  const auto outcomes = cluster.Run(
      {EqualPlan(2)}, 1, [&](std::unique_ptr<Collective> c) -> std::unique_ptr<Collective> {
        const auto rank = c->rank();
        return std::make_unique<CountingCollective>(std::move(c), cluster.channel(rank).works,
                                                    at_work[static_cast<size_t>(rank)]);
      });
  for (int r = 0; r < 2; ++r) {
    ASSERT_TRUE(outcomes[r].ok()) << outcomes[r].error().message;
    std::vector<std::pair<OwnWork::Kind, int64_t>> said;
    for (const OwnWork& work : cluster.channel(r).works) said.emplace_back(work.kind, work.left);
    using Kind = OwnWork::Kind;
    EXPECT_EQ(said, (std::vector<std::pair<Kind, int64_t>>{{Kind::kLocalStep, 3},
                                                           {Kind::kLocalStep, 2},
                                                           {Kind::kLocalStep, 1},
                                                           {Kind::kNone, 0},
                                                           {Kind::kEvaluationBatch, 1},
                                                           {Kind::kNone, 0}}));
    EXPECT_EQ(at_work[static_cast<size_t>(r)], 0);
  }
}

// How many samples were read.
class CountedDataset final : public Dataset {
 public:
  explicit CountedDataset(std::shared_ptr<const Dataset> from) : from_(std::move(from)) {}
  int64_t size() const override { return from_->size(); }
  const DataShape& shape() const override { return from_->shape(); }
  void Read(std::span<const int64_t> indices, Batch& batch) const override {
    from_->Read(indices, batch);
    read_ += static_cast<int64_t>(indices.size());
  }
  int64_t read() const { return read_; }

 private:
  std::shared_ptr<const Dataset> from_;
  mutable std::atomic<int64_t> read_ = 0;
};

TEST(Evaluation, IsDealtInProportionToTheBatchesOfTheWorkers) {
  TrainingJob job = SmallJob();
  job.spec.training.max_samples = 32;  // one round, and the evaluation at the end
  const std::vector<std::shared_ptr<const Dataset>> train = {TrainingSet(job)};
  const auto fast = std::make_shared<CountedDataset>(EvaluationSet(job));
  const auto slow = std::make_shared<CountedDataset>(EvaluationSet(job));
  Cluster alone(job, 1), both(job, train, "", fast);
  both.Adopt(Cluster(job, train, "", slow));
  alone.RunToEnd({EqualPlan(1)});
  both.RunToEnd({ExactPlan({30, 2})});
  EXPECT_EQ(fast->read(), 101 * 30 / 32);
  EXPECT_EQ(slow->read(), 101 - 101 * 30 / 32);
  const RoundReport& report = both.reports().back();
  ASSERT_TRUE(report.evaluation_loss.has_value());
  EXPECT_EQ(report.evaluation_loss, both.reports(1).back().evaluation_loss);
  EXPECT_NEAR(*report.evaluation_loss, *alone.reports().back().evaluation_loss, 1e-9);
}

TEST(Evaluation, HappensWhenTheCursorCrossesAMultipleAndAtTheEnd) {
  TrainingJob job = SmallJob();
  job.spec.training.local_steps.steps = 3;  // 96 samples a round
  job.spec.training.max_samples = 500;
  job.spec.evaluation.every_samples = 200;
  Cluster cluster(job, 2);
  cluster.RunToEnd({EqualPlan(2)});
  std::vector<int64_t> at;
  for (const RoundReport& report : cluster.reports()) {
    if (report.evaluation_loss) at.push_back(report.cursor_end);
  }
  EXPECT_EQ(at, (std::vector<int64_t>{288, 480, 512}));
}

TEST(Evaluation, ReachingTheTargetEndsTheRunOnAllWorkers) {
  TrainingJob job = SmallJob();
  job.spec.training.max_samples = 100000;
  job.spec.evaluation.every_samples = 320;
  job.spec.evaluation.target = {.metric = TargetMetric::kAccuracy, .value = 0.6};
  Cluster cluster(job, 3);
  cluster.RunToEnd({EqualPlan(3)});
  EXPECT_LT(cluster.reports().back().cursor_end, 100000);
  for (int r = 0; r < 3; ++r) {
    EXPECT_TRUE(cluster.reports(r).back().target_reached);
    EXPECT_EQ(cluster.reports(r).size(), cluster.reports(0).size());
  }
  EXPECT_GE(*cluster.reports().back().evaluation_accuracy, 0.6);
}

TEST(Evaluation, LossTargetAsksForAtMostTheValue) {
  TrainingJob job = SmallJob();
  job.spec.training.max_samples = 100000;
  job.spec.evaluation.every_samples = 320;
  job.spec.evaluation.target = {.metric = TargetMetric::kLoss, .value = 1.0};
  Cluster cluster(job, 1);
  cluster.RunToEnd({EqualPlan(1)});
  EXPECT_LE(*cluster.reports().back().evaluation_loss, 1.0);
  for (size_t k = 0; k + 1 < cluster.reports().size(); ++k) {
    const std::optional<double>& loss = cluster.reports()[k].evaluation_loss;
    EXPECT_GT(loss.value_or(2.0), 1.0);
  }
}

TEST(TimeStep, LeavesNoTrace) {
  TrainingJob job = SmallJob();
  job.spec.model = SmallCnnJob().spec.model;
  job.spec.data = SmallCnnJob().spec.data;
  Cluster timed(job, 1), untouched(job, 1);
  const Result<double> seconds = timed.engine(0).TimeStep(600, 100);  // more than the set has
  ASSERT_TRUE(seconds.ok()) << seconds.error().message;
  EXPECT_GT(*seconds, 0);
  EXPECT_EQ(timed.Parameters(), untouched.Parameters());
  timed.RunToEnd({EqualPlan(1)});
  untouched.RunToEnd({EqualPlan(1)});
  EXPECT_EQ(timed.Parameters(), untouched.Parameters());
}

}  // namespace
}  // namespace longstride::testing
