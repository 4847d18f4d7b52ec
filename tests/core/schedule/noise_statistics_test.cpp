#include "core/schedule/noise_statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/schedule/sums.h"
#include "tests/core/schedule/seeds.h"

namespace longstride {
namespace {

using Vector = std::vector<double>;

double Norm2(const Vector& x) {
  return SquaredNorm(std::span<const double>(x));
}
double Dot(const Vector& x, const Vector& y) {
  return InnerProduct(std::span<const double>(x), y);
}
void AddTo(Vector& sum, double weight, const Vector& x) {
  for (size_t i = 0; i < x.size(); ++i) sum[i] += weight * x[i];
}
Vector Scaled(double weight, const Vector& x) {
  Vector out(x.size());
  AddTo(out, weight, x);
  return out;
}

// A round over explicit samples: gradient of sample i of worker m = truth + skew_m + noise.
struct Simulation {
  std::vector<std::vector<Vector>> samples;  // [worker][sample]
  std::vector<Vector> means;                 // g_m
  Vector mean;                               // gbar
  RoundMeasurements round;
};

Simulation Simulate(Random& random, const std::vector<int>& batches, const Vector& truth,
                    double noise, double skew = 0) {
  const size_t d = truth.size();
  Simulation s;
  double total = 0;
  s.mean = Vector(d);
  for (int b : batches) {
    const Vector own = NormalVector(random, d, skew);
    s.samples.emplace_back();
    Vector mean(d);
    for (int i = 0; i < b; ++i) {
      Vector g = NormalVector(random, d, noise);
      AddTo(g, 1, truth);
      AddTo(g, 1, own);
      AddTo(mean, 1.0 / b, g);
      s.samples.back().push_back(std::move(g));
    }
    s.means.push_back(mean);
    AddTo(s.mean, b, mean);
    total += b;
  }
  s.mean = Scaled(1 / total, s.mean);
  s.round.mean_norm_squared = Norm2(s.mean);
  for (size_t m = 0; m < batches.size(); ++m) {
    s.round.workers.push_back(
        {static_cast<double>(batches[m]), Norm2(s.means[m]), Dot(s.means[m], s.mean)});
    // Two micro-batches, of unequal size where the batch is odd.
    std::vector<MicrobatchGradient> halves;
    const int b = batches[m];
    for (const auto& [begin, end] : {std::pair{0, b / 2}, std::pair{b / 2, b}}) {
      if (begin == end) continue;
      Vector half(d);
      for (int i = begin; i < end; ++i) AddTo(half, 1.0 / (end - begin), s.samples[m][i]);
      halves.push_back({static_cast<double>(end - begin), Norm2(half), Dot(half, s.mean)});
    }
    s.round.microbatches.push_back(SummarizeMicrobatches(halves, Norm2(s.means[m])));
  }
  return s;
}

// sum over all samples ||g_i - gbar||^2 / (B - 1).
double PerSampleVariance(const Simulation& s) {
  double spread = 0;
  double count = 0;
  for (const auto& worker : s.samples) {
    for (const Vector& g : worker) {
      spread += Norm2(g) - 2 * Dot(g, s.mean) + Norm2(s.mean);
      ++count;
    }
  }
  return spread / (count - 1);
}

constexpr double kSigmas = 4.5;  // tests of means: chance of a false alarm below 1e-5
void ExpectUnbiased(const Moments& m, int count, double truth) {
  EXPECT_NEAR(m.mean(), truth, kSigmas * std::sqrt(m.variance() / count));
}

const std::vector<int> kUnequal{2, 3, 10, 49};
const Vector kTruth{1, -2, 0.5, 0, 0, 3, 0, 0};

TEST(NoiseStatistics, UnequalBatchesGiveTheVarianceOfThePerSampleOracle) {
  Moments estimated, oracle, within, corrected, corrected_within;
  constexpr int kRounds = 4000;
  SeededRandom random(11);
  for (int k = 0; k < kRounds; ++k) {
    const Simulation s = Simulate(random, kUnequal, kTruth, 2);
    const NoiseStatistics exact = EstimateNoise(NoiseEstimator::kExact, s.round);
    const NoiseStatistics micro = EstimateNoise(NoiseEstimator::kMicrobatch, s.round);
    estimated.Add(exact.variance);
    within.Add(micro.variance);
    oracle.Add(PerSampleVariance(s));
    corrected.Add(CorrectedNormSquared(exact));
    corrected_within.Add(CorrectedNormSquared(micro));
  }
  const double truth = 4.0 * static_cast<double>(kTruth.size());
  ExpectUnbiased(oracle, kRounds, truth);
  ExpectUnbiased(estimated, kRounds, truth);
  ExpectUnbiased(within, kRounds, truth);
  ExpectUnbiased(corrected, kRounds, Norm2(kTruth));
  ExpectUnbiased(corrected_within, kRounds, Norm2(kTruth));
}

TEST(NoiseStatistics, SkewIsSeenBetweenWorkersOnly) {
  Moments skew;
  constexpr int kRounds = 4000;
  SeededRandom random(12);
  const std::vector<int> batches{20, 20, 20, 20};
  for (int k = 0; k < kRounds; ++k) {
    const Simulation s = Simulate(random, batches, kTruth, 1, 0.3);
    skew.Add(Skew(EstimateNoise(NoiseEstimator::kExact, s.round),
                  EstimateNoise(NoiseEstimator::kMicrobatch, s.round)));
  }
  // sum b ||skew_m - mean skew||^2 / (M - 1) = b * d * 0.3^2 in expectation.
  ExpectUnbiased(skew, kRounds, 20 * 8 * 0.09);
}

// Shards of unlike size and unlike batches: the average follows the sizes.
TEST(NoiseStatistics, OverShardsTheNoiseIsThatOfTheWeightedMeanWhateverTheSkew) {
  const std::vector<int> batches{4, 4, 16};
  const std::vector<double> sizes{6000, 1000, 3000};
  Moments noise, skew;
  constexpr int kRounds = 4000;
  SeededRandom random(17);
  const double d = static_cast<double>(kTruth.size());
  for (int k = 0; k < kRounds; ++k) {
    Simulation s = Simulate(random, batches, kTruth, 2, 0.3);
    Vector mean(kTruth.size());
    for (size_t m = 0; m < batches.size(); ++m) {
      AddTo(mean, sizes[m] / 10000, s.means[m]);
      s.round.workers[m].weight = sizes[m];
    }
    s.round.mean_norm_squared = Norm2(mean);
    s.round.shards = true;
    const NoiseStatistics over = EstimateNoise(NoiseEstimator::kExact, s.round);
    EXPECT_EQ(over.gradient_norm_squared, Norm2(mean));
    noise.Add(over.variance / 24);
    skew.Add(Skew(EstimateBetweenWorkers(s.round.workers, Norm2(mean)),
                  EstimateWithinWorkers(s.round.microbatches)));
  }
  ExpectUnbiased(noise, kRounds, d * 4 * (0.36 / 4 + 0.01 / 4 + 0.09 / 16));
  // zeta^2 = sum share (1 - share) d 0.3^2, over sum share (1 - share) / b.
  const double spread = 0.24 + 0.09 + 0.21;
  ExpectUnbiased(skew, kRounds, d * 0.09 * spread / (0.24 / 4 + 0.09 / 4 + 0.21 / 16));
}

TEST(NoiseStatistics, OneWorkerFallsBackToItsMicrobatches) {
  ForEachSeed(20, [](Random& random) {
    const Simulation s = Simulate(random, {31}, kTruth, 2);
    const NoiseStatistics micro = EstimateNoise(NoiseEstimator::kMicrobatch, s.round);
    for (NoiseEstimator e :
         {NoiseEstimator::kExact, NoiseEstimator::kSketch, NoiseEstimator::kPseudoGradient}) {
      EXPECT_EQ(EstimateNoise(e, s.round).variance, micro.variance);
      EXPECT_EQ(EstimateNoise(e, s.round).gradient_norm_squared, micro.gradient_norm_squared);
    }
    // With one worker ||gbar||^2 is observed after all.
    EXPECT_NEAR(micro.gradient_norm_squared, s.round.mean_norm_squared, 1e-12);
    EXPECT_TRUE(std::isfinite(micro.inner_product_variance));
  });
}

TEST(NoiseStatistics, InnerProductVarianceFollowsItsDefinition) {
  ForEachSeed(50, [](Random& random) {
    const Simulation s = Simulate(random, kUnequal, kTruth, 1);
    const NoiseStatistics exact = EstimateNoise(NoiseEstimator::kExact, s.round);
    double along = 0;
    double across = 0;
    for (size_t m = 0; m < s.means.size(); ++m) {
      Vector deviation = s.means[m];
      AddTo(deviation, -1, s.mean);
      const double product = Dot(deviation, s.mean);
      along += kUnequal[m] * product * product / 3;
      AddTo(deviation, -product / Norm2(s.mean), s.mean);
      across += kUnequal[m] * Norm2(deviation) / 3;
    }
    EXPECT_NEAR(exact.inner_product_variance, along, 1e-9 * along);
    // What the augmented test takes for the orthogonal part.
    EXPECT_NEAR(exact.variance - exact.inner_product_variance / exact.gradient_norm_squared, across,
                1e-9 * across);
  });
}

TEST(NoiseStatistics, WorkersWithoutSamplesTakeNoPart) {
  SeededRandom random(13);
  Simulation s = Simulate(random, kUnequal, kTruth, 1);
  const NoiseStatistics before = EstimateNoise(NoiseEstimator::kExact, s.round);
  const NoiseStatistics within = EstimateNoise(NoiseEstimator::kMicrobatch, s.round);
  s.round.workers.insert(s.round.workers.begin(), {0, 12345, 1});
  s.round.microbatches.push_back({0, 99, 99, 1, 99});
  EXPECT_EQ(EstimateNoise(NoiseEstimator::kExact, s.round).variance, before.variance);
  EXPECT_EQ(EstimateNoise(NoiseEstimator::kExact, s.round).workers, 4);
  EXPECT_EQ(EstimateNoise(NoiseEstimator::kMicrobatch, s.round).variance, within.variance);
}

TEST(NoiseStatistics, PseudoGradientOfOneStepWithoutDriftIsTheExactEstimate) {
  ForEachSeed(20, [](Random& random) {
    Simulation s = Simulate(random, kUnequal, kTruth, 1);
    constexpr double kRate = 0.125;
    for (const WorkerGradient& w : s.round.workers) {
      s.round.updates.push_back({w.batch, kRate * kRate * w.norm_squared});
    }
    s.round.updates.push_back({0, 7});
    s.round.mean_update_norm_squared = kRate * kRate * s.round.mean_norm_squared;
    s.round.learning_rate_sum = kRate;
    const NoiseStatistics pseudo = EstimateNoise(NoiseEstimator::kPseudoGradient, s.round);
    const NoiseStatistics exact = EstimateNoise(NoiseEstimator::kExact, s.round);
    EXPECT_DOUBLE_EQ(pseudo.variance, exact.variance);
    EXPECT_DOUBLE_EQ(pseudo.gradient_norm_squared, exact.gradient_norm_squared);
    EXPECT_EQ(pseudo.samples, exact.samples);
  });
}

TEST(NoiseStatistics, Fp64SurvivesTheCancellationThatRuinsFp32) {
  // The gradient is 10^4 times its noise: sum b ||g||^2 and B ||gbar||^2 agree in 9 digits.
  ForEachSeed(20, [](Random& random) {
    const Vector large(64, 1000.0);
    const Simulation s = Simulate(random, {8, 8, 8, 8}, large, 0.3);
    double direct = 0;
    float cancelling = 0;
    for (size_t m = 0; m < s.means.size(); ++m) {
      Vector deviation = s.means[m];
      AddTo(deviation, -1, s.mean);
      direct += 8 * Norm2(deviation) / 3;
      cancelling += 8.0F * static_cast<float>(Norm2(s.means[m]));
    }
    cancelling = (cancelling - 32.0F * static_cast<float>(Norm2(s.mean))) / 3.0F;
    EXPECT_NEAR(EstimateNoise(NoiseEstimator::kExact, s.round).variance, direct, 1e-4 * direct);
    EXPECT_GT(std::abs(static_cast<double>(cancelling) - direct), 0.5 * direct);
  });
}

TEST(NoiseStatistics, RoundingNeverMakesAVarianceNegative) {
  const std::vector<WorkerGradient> equal(3, {7, 0.1, 0.1});
  EXPECT_EQ(EstimateBetweenWorkers(equal, std::nextafter(0.1, 1)).variance, 0);
  const std::vector<MicrobatchGradient> halves(2, {5, 0.1, 0.1});
  EXPECT_EQ(SummarizeMicrobatches(halves, std::nextafter(0.1, 1)).spread, 0);
}

TEST(NoiseStatistics, WhatCannotBeEstimatedIsNotANumber) {
  EXPECT_TRUE(std::isnan(EstimateNoise(NoiseEstimator::kSketch, {}).variance));
  RoundMeasurements one_sample;
  one_sample.microbatches = {{1, 4, 0, 0, 0}};
  EXPECT_TRUE(std::isnan(EstimateNoise(NoiseEstimator::kMicrobatch, one_sample).variance));
  EXPECT_EQ(SummarizeMicrobatches({}, 0).batch, 0);
  EXPECT_TRUE(std::isnan(
      EstimateBetweenWorkers(std::vector<WorkerGradient>(2, {1, kNotMeasured}), 1).variance));
  EXPECT_TRUE(std::isnan(NoiseScale(NoiseStatistics{})));
}

TEST(NoiseStatistics, NoiseScaleIsTheVarianceOverTheTrueNorm) {
  NoiseStatistics s;
  s.samples = 10;
  s.variance = 20;
  s.gradient_norm_squared = 7;
  EXPECT_EQ(NoiseScale(s), 4);
  s.gradient_norm_squared = 2;  // all of it is noise
  EXPECT_EQ(NoiseScale(s), std::numeric_limits<double>::infinity());
}

TEST(NoiseStatistics, MeanNormComesFromTheWeightedSum) {
  const Vector sum{6, 8};
  EXPECT_EQ(MeanNormSquared(sum, 5), 4);
}

}  // namespace
}  // namespace longstride
