// The theory behind the norm test, on a problem where every number of it is known: with the batch
// that the test asks for, SGD on a strongly convex function converges linearly although its
// gradients are noisy [Byrd, Chin, Nocedal, Wu 2012, theorem 4.1].
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "cluster.h"
#include "core/base/random.h"

namespace longstride::testing {
namespace {

// Least squares over N points (+-1, +-s) with noisy targets. With the bias the Hessian of the mean
// squared error is 2 diag(1, s^2, 1), so mu = 2 s^2 and L = 2 for s < 1.
class LeastSquares final : public Dataset {
 public:
  static constexpr double kS = 0.5, kMu = 2 * kS * kS, kL = 2;

  LeastSquares(int64_t size, uint64_t seed) {
    shape_.features = {2};
    shape_.outputs = 1;
    SeededRandom random(seed);
    for (int64_t i = 0; i < size; ++i) {
      const double x[3] = {i & 1 ? 1.0 : -1.0, i & 2 ? kS : -kS, 1.0};
      const double y = static_cast<float>(3 * x[0] - 8 * x[1] + 2 + 2 * random.NextNormal());
      x_.push_back({static_cast<float>(x[0]), static_cast<float>(x[1])});
      y_.push_back(static_cast<float>(y));
      for (int j = 0; j < 3; ++j)
        best_[j] += x[j] * y / static_cast<double>(size) / (j == 1 ? kS * kS : 1.0);
    }
    for (int64_t i = 0; i < size; ++i) {
      const double error = best_[0] * x_[i][0] + best_[1] * x_[i][1] + best_[2] - y_[i];
      minimum_ += error * error / static_cast<double>(size);
    }
  }
  int64_t size() const override { return static_cast<int64_t>(y_.size()); }
  const DataShape& shape() const override { return shape_; }
  void Read(std::span<const int64_t> indices, Batch& batch) const override {
    batch.size = static_cast<int64_t>(indices.size());
    batch.floats.clear();
    batch.targets.clear();
    for (const int64_t i : indices) {
      batch.floats.insert(batch.floats.end(), x_[i].begin(), x_[i].end());
      batch.targets.push_back(y_[i]);
    }
  }
  double minimum() const { return minimum_; }  // of the mean squared error

 private:
  DataShape shape_;
  std::vector<std::array<float, 2>> x_;
  std::vector<float> y_;
  double best_[3] = {};
  double minimum_ = 0;
};

TEST(NormTestTheory, TheLossGapFallsLinearlyAtTheRatePromised) {
  constexpr int64_t kRounds = 12;
  const double eta = 0.5, rate = 1 / ((1 + eta * eta) * LeastSquares::kL);
  double log_gap_change = 0, log_fixed_change = 0;
  constexpr int kSeeds = 5;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    const auto data = std::make_shared<LeastSquares>(4096, static_cast<uint64_t>(seed));
    for (const BatchPolicy policy : {BatchPolicy::kAdaptive, BatchPolicy::kFixed}) {
      TrainingJob job = SmallJob();
      job.spec.seed = seed;
      job.spec.model.mlp.hidden = {};
      TrainingSpec& training = job.spec.training;
      training.learning_rate.value = rate;
      training.batch.policy = policy;
      training.batch.initial = 16;
      training.batch.norm_test.estimator = NoiseEstimator::kExact;
      training.batch.norm_test.eta = eta;
      training.batch.norm_test.ema = 0;
      training.batch.norm_test.hysteresis = 0;
      training.batch.norm_test.max_growth = 1e6;
      training.batch.norm_test.bias_corrected = true;
      job.spec.limits.max_global_batch = 16384;
      training.max_samples = int64_t{1} << 40;
      job.spec.evaluation.every_samples = 1;  // after every round
      Cluster cluster(job, {data, data, data, data}, "", data);
      cluster.channel(0).stop_at_call = kRounds + 1;
      for (const auto& outcome : cluster.Run({EqualPlan(4)})) {
        ASSERT_TRUE(outcome.ok()) << outcome.error().message;
      }
      const auto gap = [&](int64_t k) {
        return *cluster.reports()[static_cast<size_t>(k)].evaluation_loss - data->minimum();
      };
      const double change = std::log(gap(kRounds) / gap(0)) / static_cast<double>(kRounds);
      (policy == BatchPolicy::kAdaptive ? log_gap_change : log_fixed_change) += change / kSeeds;
      if (policy == BatchPolicy::kAdaptive) {
        EXPECT_GT(cluster.reports().back().global_batch, 100);
      }
    }
  }
  const double promised = 1 - LeastSquares::kMu * rate;
  std::printf("gap per round: %.3f adaptive, %.3f fixed, %.3f promised\n", std::exp(log_gap_change),
              std::exp(log_fixed_change), promised);
  EXPECT_LE(std::exp(log_gap_change), promised);
  EXPECT_GT(log_fixed_change, log_gap_change);
}

}  // namespace
}  // namespace longstride::testing
