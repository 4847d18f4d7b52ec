// The theory behind the norm test, played out: on a strongly convex quadratic with the batch
// following the test (H = 1, no averages, no caps), SGD with lr <= 1 / ((1 + eta^2) L) closes the
// gap at the rate of noiseless gradient descent, E[F(w_k) - F*] <= (1 - mu lr)^k (F(w_0) - F*)
// [Byrd et al. 2012; Bollapragada, Byrd, Nocedal 2018].
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/schedule/allocation.h"
#include "core/schedule/batch_growth.h"
#include "core/schedule/sums.h"
#include "tests/core/schedule/seeds.h"

namespace longstride {
namespace {

constexpr size_t kDimension = 20;
constexpr double kMu = 1;  // eigenvalues from mu to L
constexpr double kL = 10;
constexpr double kNoise = 2;  // per coordinate and sample
constexpr size_t kWorkers = 4;
constexpr int kSteps = 120;

double Eigenvalue(size_t i) {
  return kMu + (kL - kMu) * static_cast<double>(i) / (kDimension - 1);
}

double Gap(const std::vector<double>& w) {
  double gap = 0;
  for (size_t i = 0; i < kDimension; ++i) gap += 0.5 * Eigenvalue(i) * w[i] * w[i];
  return gap;
}

// One run; returns the final gap over the first, and the last batch through `batch`.
double FinalGap(Random& random, const BatchSpec& spec, double rate, int64_t& batch) {
  const GlobalBatchLimits limits{static_cast<int64_t>(kWorkers), int64_t{1} << 50};
  std::vector<WorkerCost> workers(kWorkers);
  for (WorkerCost& w : workers) w.max = limits.max;
  GrowthState state = InitialGrowth(spec, limits);
  std::vector<double> w(kDimension, 1.0);
  const double first = Gap(w);
  for (int k = 0; k < kSteps; ++k) {
    const Result<std::vector<int64_t>> split = SplitEqually(workers, state.batch);
    RoundMeasurements round;
    std::vector<double> sum(kDimension);
    for (const int64_t b : *split) {
      const double size = static_cast<double>(b);
      std::vector<double> g = NormalVector(random, kDimension, kNoise / std::sqrt(size));
      for (size_t i = 0; i < kDimension; ++i) {
        g[i] += Eigenvalue(i) * w[i];
        sum[i] += size * g[i];
      }
      round.workers.push_back({size, SquaredNorm(std::span<const double>(g))});
    }
    const double total = static_cast<double>(state.batch);
    round.mean_norm_squared = MeanNormSquared(sum, total);
    for (size_t i = 0; i < kDimension; ++i) w[i] -= rate * sum[i] / total;
    state = Advance(spec, state, EstimateNoise(NoiseEstimator::kExact, round), limits).next;
  }
  batch = state.batch;
  return Gap(w) / first;
}

TEST(Quadratic, TheGapFallsAtTheRateOfNoiselessDescent) {
  BatchSpec spec;
  spec.initial = 8;
  spec.norm_test.eta = 0.5;
  spec.norm_test.ema = 0;
  spec.norm_test.hysteresis = 0;
  spec.norm_test.max_growth = std::numeric_limits<double>::infinity();
  const double rate = 1 / ((1 + spec.norm_test.eta * spec.norm_test.eta) * kL);
  const double theory = std::pow(1 - kMu * rate, kSteps);
  Moments adaptive, fixed;
  int64_t batch = 0;
  ForEachSeed(60, [&](Random& random) {
    adaptive.Add(FinalGap(random, spec, rate, batch));
    EXPECT_GT(batch, 1000);
  });
  EXPECT_LT(adaptive.mean(), theory);

  // The small batch that it began with stalls far above.
  spec.policy = BatchPolicy::kFixed;
  ForEachSeed(60, [&](Random& random) { fixed.Add(FinalGap(random, spec, rate, batch)); });
  EXPECT_EQ(batch, 8);
  EXPECT_GT(fixed.mean(), 3 * theory);
}

}  // namespace
}  // namespace longstride
