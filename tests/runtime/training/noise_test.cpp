// The norm test in whole runs: what the four estimators say of the same trajectory, and what B
// does.
#include <gtest/gtest.h>

#include <cmath>

#include "cluster.h"
#include "core/base/format.h"

namespace longstride::testing {
namespace {

// B held fixed, so that the trajectory does not depend on the estimator.
double MeanVariance(NoiseEstimator estimator, int64_t local_steps, bool cnn,
                    double* mean_norm = nullptr) {
  TrainingJob job = cnn ? SmallCnnJob() : SmallJob();
  TrainingSpec& training = job.spec.training;
  job.spec.data.synthetic.noise = 1.0;
  training.batch.policy = BatchPolicy::kAdaptive;
  training.batch.initial = 64;
  training.batch.norm_test.estimator = estimator;
  training.batch.norm_test.sketch_size = 512;
  training.local_steps.steps = local_steps;
  training.max_samples = 60 * 64 * local_steps;
  job.spec.limits.max_global_batch = 64;
  Cluster cluster(job, 4);
  cluster.RunToEnd({EqualPlan(4)});
  double variance = 0, norm = 0;
  for (const RoundReport& report : cluster.reports()) {
    EXPECT_TRUE(report.statistics_finite);
    variance += report.noise_variance / static_cast<double>(cluster.reports().size());
    norm += report.gradient_norm_squared / static_cast<double>(cluster.reports().size());
  }
  if (mean_norm) *mean_norm = norm;
  return variance;
}

TEST(Estimators, ExactSketchAndMicrobatchAgreeOverARun) {
  for (const bool cnn : {false, true}) {
    double exact_norm = 0, sketch_norm = 0, microbatch_norm = 0;
    const double exact = MeanVariance(NoiseEstimator::kExact, 4, cnn, &exact_norm);
    const double sketch = MeanVariance(NoiseEstimator::kSketch, 4, cnn, &sketch_norm);
    const double microbatch = MeanVariance(NoiseEstimator::kMicrobatch, 4, cnn, &microbatch_norm);
    std::printf("%s: sigma^2 exact %.4f sketch %.4f microbatch %.4f, |g|^2 %.4f %.4f %.4f\n",
                cnn ? "cnn" : "mlp", exact, sketch, microbatch, exact_norm, sketch_norm,
                microbatch_norm);
    EXPECT_NEAR(sketch / exact, 1, 0.15);
    EXPECT_NEAR(microbatch / exact, 1, 0.15);
    EXPECT_NEAR(sketch_norm / exact_norm, 1, 0.15);
    EXPECT_NEAR(microbatch_norm / exact_norm, 1, 0.15);
  }
}

TEST(Estimators, PseudoGradientSeesDriftAndOverestimatesTheNoiseScale) {
  double exact_norm = 0, pseudo_norm = 0;
  const double exact = MeanVariance(NoiseEstimator::kExact, 16, false, &exact_norm);
  const double pseudo = MeanVariance(NoiseEstimator::kPseudoGradient, 16, false, &pseudo_norm);
  std::printf("H = 16: sigma^2/|g|^2 exact %.1f pseudo-gradient %.1f\n", exact / exact_norm,
              pseudo / pseudo_norm);
  EXPECT_GT(pseudo / pseudo_norm, exact / exact_norm);
}

// Every sample is the same point, but for a deviation of size `spread`.
class NearlyConstant final : public Dataset {
 public:
  explicit NearlyConstant(float spread) : spread_(spread) {
    shape_.features = {8};
    shape_.classes = 4;
  }
  int64_t size() const override { return 512; }
  const DataShape& shape() const override { return shape_; }
  void Read(std::span<const int64_t> indices, Batch& batch) const override {
    batch.size = static_cast<int64_t>(indices.size());
    batch.floats.assign(indices.size() * 8, 1.0f);
    batch.labels.assign(indices.size(), 2);
    for (size_t i = 0; i < indices.size(); ++i) {
      batch.floats[i * 8 + static_cast<size_t>(indices[i] % 8)] +=
          indices[i] % 16 < 8 ? spread_ : -spread_;
    }
  }

 private:
  DataShape shape_;
  float spread_;
};

TrainingJob AdaptiveJob() {
  TrainingJob job = SmallJob();
  job.spec.training.batch.policy = BatchPolicy::kAdaptive;
  job.spec.training.batch.initial = 16;
  job.spec.training.max_samples = 4000;
  job.spec.training.local_steps.steps = 2;
  job.spec.limits.max_global_batch = 256;
  return job;
}

TEST(NormTest, LeavesTheBatchAloneWhereThereIsLittleNoise) {
  for (const int workers : {1, 3}) {
    TrainingJob job = AdaptiveJob();
    job.spec.training.learning_rate.value = 0.01;
    Cluster cluster(
        job, std::vector<std::shared_ptr<const Dataset>>(static_cast<size_t>(workers),
                                                         std::make_shared<NearlyConstant>(0.05f)));
    cluster.RunToEnd({EqualPlan(workers)});
    for (const RoundReport& report : cluster.reports())
      ASSERT_EQ(report.next_global_batch, 16) << report.round;
  }
}

// One sample has no spread, and another worker there is none.
TEST(NormTest, SaysSoWhereItHasNothingToTest) {
  TrainingJob job = AdaptiveJob();
  job.spec.training.batch.initial = 1;
  job.spec.training.max_samples = 20;
  Cluster cluster(job, 1);
  cluster.RunToEnd({EqualPlan(1)});
  for (const RoundReport& report : cluster.reports()) {
    EXPECT_FALSE(report.statistics_finite);
    EXPECT_EQ(report.next_global_batch, 1);
  }
}

TEST(NormTest, AFixedBatchHasNone) {
  TrainingJob job = AdaptiveJob();
  job.spec.training.batch.policy = BatchPolicy::kFixed;
  job.spec.training.batch.initial = 1;
  job.spec.training.max_samples = 20;
  Cluster cluster(job, 1);
  cluster.RunToEnd({EqualPlan(1)});
  for (const RoundReport& report : cluster.reports()) EXPECT_TRUE(report.statistics_finite);
}

// Labels that have nothing to do with the features.
class RandomLabels final : public Dataset {
 public:
  explicit RandomLabels(std::shared_ptr<const Dataset> from) : from_(std::move(from)) {}
  int64_t size() const override { return from_->size(); }
  const DataShape& shape() const override { return from_->shape(); }
  void Read(std::span<const int64_t> indices, Batch& batch) const override {
    from_->Read(indices, batch);
    for (size_t i = 0; i < indices.size(); ++i) batch.labels[i] = indices[i] * 7919 % 4;
  }

 private:
  std::shared_ptr<const Dataset> from_;
};

TEST(NormTest, GrowsTheBatchOnNoiseAtMostByTheFactorAllowed) {
  for (const NoiseEstimator estimator :
       {NoiseEstimator::kExact, NoiseEstimator::kSketch, NoiseEstimator::kMicrobatch}) {
    for (const int workers : {1, 3}) {
      TrainingJob job = AdaptiveJob();
      job.spec.training.batch.norm_test.estimator = estimator;
      const auto noisy = std::make_shared<RandomLabels>(TrainingSet(job));
      Cluster cluster(
          job, std::vector<std::shared_ptr<const Dataset>>(static_cast<size_t>(workers), noisy));
      cluster.RunToEnd({EqualPlan(workers)});
      EXPECT_GT(cluster.reports().back().next_global_batch, 64) << workers;
      for (const RoundReport& report : cluster.reports()) {
        EXPECT_GE(report.next_global_batch, report.global_batch);
        EXPECT_LE(report.next_global_batch, 2 * report.global_batch);
        EXPECT_LE(report.next_global_batch, 256);
      }
    }
  }
}

TEST(NormTest, InnerProductTestsRunAndAgreeAcrossRanks) {
  for (const BatchTest test : {BatchTest::kInnerProduct, BatchTest::kAugmentedInnerProduct}) {
    for (const NoiseEstimator estimator :
         {NoiseEstimator::kExact, NoiseEstimator::kSketch, NoiseEstimator::kMicrobatch}) {
      for (const int workers : {1, 3}) {
        TrainingJob job = AdaptiveJob();
        job.spec.training.batch.norm_test.test = test;
        job.spec.training.batch.norm_test.estimator = estimator;
        job.spec.training.batch.norm_test.theta = 0.2;
        const auto noisy = std::make_shared<RandomLabels>(TrainingSet(job));
        Cluster cluster(
            job, std::vector<std::shared_ptr<const Dataset>>(static_cast<size_t>(workers), noisy));
        cluster.RunToEnd({EqualPlan(workers)});
        SCOPED_TRACE(Format("test %d estimator %d workers %d", static_cast<int>(test),
                            static_cast<int>(estimator), workers));
        for (const RoundReport& report : cluster.reports()) EXPECT_GT(report.norm_test_ratio, 0);
        EXPECT_GT(cluster.reports().back().next_global_batch, 16);
      }
    }
  }
}

TEST(NormTest, SketchCostsAsManyNumbersAsItSays) {
  TrainingJob job = AdaptiveJob();
  job.spec.training.batch.norm_test.sketch_size = 128;
  Cluster sketch(job, 2);
  sketch.RunToEnd({EqualPlan(2)});
  job.spec.training.batch.norm_test.estimator = NoiseEstimator::kExact;
  Cluster exact(job, 2);
  exact.RunToEnd({EqualPlan(2)});
  const auto statistics = static_cast<size_t>(Purpose::kStatistics),
             model = static_cast<size_t>(Purpose::kModel);
  const RoundReport& a = sketch.reports()[0];
  const RoundReport& b = exact.reports()[0];
  EXPECT_LE(a.bytes_sent[statistics], (128 + 2 * 24) * 8);
  EXPECT_GE(b.bytes_sent[statistics], b.bytes_sent[model]);
}

}  // namespace
}  // namespace longstride::testing
