#include "core/schedule/sketch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/schedule/noise_statistics.h"
#include "core/schedule/sums.h"
#include "tests/core/schedule/seeds.h"

namespace longstride {
namespace {

constexpr int64_t kBuckets = 256;
constexpr int kRounds = 600;

// The definition, element by element. With `rotate` false, the broken variant.
std::vector<double> Reference(const std::vector<double>& x, int64_t buckets, uint64_t seed,
                              uint64_t round, bool rotate = true) {
  std::vector<double> sketch(static_cast<size_t>(buckets));
  for (size_t i = 0; i < x.size(); ++i) {
    const uint64_t k = static_cast<uint64_t>(buckets);
    const uint64_t hash = Mix64(Hash64(seed, round, 2) + i / k);
    const uint64_t rotation =
        static_cast<uint64_t>((static_cast<unsigned __int128>(hash) * k) >> 64);
    const bool minus = (Mix64(Hash64(seed, round, 1) + i / 64) >> (i % 64)) & 1;
    sketch[(i + (rotate ? rotation : 0)) % k] += minus ? -x[i] : x[i];
  }
  return sketch;
}

std::vector<double> Values(const GradientSketch& s) {
  return {s.values().begin(), s.values().end()};
}

// Estimate of ||x||^2 over its true value, round by round.
Moments RelativeNorms(const std::vector<double>& x, uint64_t seed) {
  const double truth = SquaredNorm(std::span<const double>(x));
  Moments moments;
  for (uint64_t round = 0; round < kRounds; ++round) {
    GradientSketch sketch(kBuckets, seed, round);
    sketch.Add(std::span<const double>(x));
    moments.Add(sketch.SquaredNorm() / truth);
  }
  return moments;
}

// A [rows, columns] matrix whose first three columns are large, as those of a layer's weight may
// be.
std::vector<double> ThreeLargeColumns(Random& random, size_t rows, size_t columns) {
  std::vector<double> x = NormalVector(random, rows * columns, 0.01);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < 3; ++c) x[r * columns + c] = random.NextNormal();
  }
  return x;
}

void ExpectUnbiasedWithStatedSpread(const std::vector<double>& x, uint64_t seed) {
  SCOPED_TRACE(::testing::Message() << "sketch seed " << seed);
  const Moments norms = RelativeNorms(x, seed);
  const double spread = std::sqrt(2.0 / kBuckets);
  EXPECT_NEAR(norms.mean(), 1, 4.5 * spread / std::sqrt(kRounds));
  EXPECT_LT(std::sqrt(norms.variance()), 1.15 * spread);
}

TEST(Sketch, NormIsUnbiasedWithTheStatedSpread) {
  SeededRandom random(1);
  const std::vector<double> x = NormalVector(random, 30000, 1);
  ExpectUnbiasedWithStatedSpread(x, 1);
  EXPECT_GT(std::sqrt(RelativeNorms(x, 1).variance()), 0.85 * std::sqrt(2.0 / kBuckets));
}

TEST(Sketch, StructuredTensorsAreNoWorse) {
  SeededRandom random(2);
  // Rows as long as the sketch, half, twice, and not a multiple of it.
  for (size_t columns : {256, 128, 512, 300, 64}) {
    SCOPED_TRACE(::testing::Message() << "columns " << columns);
    ExpectUnbiasedWithStatedSpread(ThreeLargeColumns(random, 200, columns), columns);
  }
  ExpectUnbiasedWithStatedSpread(std::vector<double>(5000, 1.0), 3);
  std::vector<double> spikes(20000);
  for (size_t i = 0; i < spikes.size(); i += 256) spikes[i] = 1;
  ExpectUnbiasedWithStatedSpread(spikes, 4);
}

TEST(Sketch, WithoutTheRotationLargeColumnsWouldCollide) {
  SeededRandom random(3);
  const std::vector<double> x = ThreeLargeColumns(random, 200, kBuckets);
  const double truth = SquaredNorm(std::span<const double>(x));
  Moments broken;
  for (uint64_t round = 0; round < kRounds; ++round) {
    const std::vector<double> sketch = Reference(x, kBuckets, 3, round, /*rotate=*/false);
    broken.Add(SquaredNorm(std::span<const double>(sketch)) / truth);
  }
  EXPECT_GT(std::sqrt(broken.variance()), 5 * std::sqrt(2.0 / kBuckets));
}

TEST(Sketch, InnerProductIsUnbiased) {
  SeededRandom random(4);
  const std::vector<double> x = NormalVector(random, 5000, 1);
  std::vector<double> y = NormalVector(random, 5000, 1);
  for (size_t i = 0; i < y.size(); ++i) y[i] += 0.5 * x[i];
  Moments moments;
  for (uint64_t round = 0; round < kRounds; ++round) {
    GradientSketch a(kBuckets, 4, round), b(kBuckets, 4, round);
    a.Add(std::span<const double>(x));
    b.Add(std::span<const double>(y));
    moments.Add(a.InnerProduct(b.values()));
  }
  EXPECT_NEAR(moments.mean(), InnerProduct(std::span<const double>(x), y),
              4.5 * std::sqrt(moments.variance() / kRounds));
}

TEST(Sketch, FollowsItsDefinitionToTheBitHoweverItIsCut) {
  ForEachSeed(200, [](Random& random) {
    const int64_t buckets = Between(random, 1, 300);
    const uint64_t seed = random.NextWord();
    const uint64_t round = random.NextBelow(1000);
    std::vector<float> floats(random.NextBelow(3000));
    for (float& f : floats) f = static_cast<float>(random.NextNormal());
    const std::vector<double> doubles(floats.begin(), floats.end());

    GradientSketch cut(buckets, seed, round);
    for (size_t at = 0; at < floats.size();) {
      const size_t n = std::min<size_t>(floats.size() - at, random.NextBelow(500));
      cut.Add(std::span<const float>(floats).subspan(at, n));
      at += n;
    }
    GradientSketch whole(buckets, seed, round);
    whole.Add(std::span<const double>(doubles));
    EXPECT_EQ(Values(cut), Values(whole));
    EXPECT_EQ(Values(whole), Reference(doubles, buckets, seed, round));
    EXPECT_EQ(whole.elements(), static_cast<int64_t>(doubles.size()));
  });
}

TEST(Sketch, SkippingIsAddingZeros) {
  ForEachSeed(50, [](Random& random) {
    const int64_t gap = Between(random, 0, 1000);
    const std::vector<double> x = NormalVector(random, 500, 1);
    GradientSketch skipped(100, 5, 6), zeros(100, 5, 6);
    skipped.Add(std::span<const double>(x).first(77));
    skipped.Skip(gap);
    skipped.Add(std::span<const double>(x).subspan(77));
    zeros.Add(std::span<const double>(x).first(77));
    zeros.Add(std::span<const double>(std::vector<double>(static_cast<size_t>(gap))));
    zeros.Add(std::span<const double>(x).subspan(77));
    EXPECT_EQ(Values(skipped), Values(zeros));
  });
}

TEST(Sketch, IsLinearSoTheSketchOfTheMeanIsTheMeanOfTheSketches) {
  ForEachSeed(20, [](Random& random) {
    const std::vector<double> weights{3, 5, 8};
    std::vector<double> mean(4000);
    std::vector<double> weighted(kBuckets), part(kBuckets);
    for (double weight : weights) {
      const std::vector<double> g = NormalVector(random, mean.size(), 1);
      for (size_t i = 0; i < g.size(); ++i) mean[i] += weight / 16 * g[i];
      GradientSketch sketch(kBuckets, 9, 1);
      sketch.Add(std::span<const double>(g));
      sketch.WriteScaled(weight, part);
      for (size_t j = 0; j < part.size(); ++j) weighted[j] += part[j];
    }
    GradientSketch of_mean(kBuckets, 9, 1);
    of_mean.Add(std::span<const double>(mean));
    for (size_t j = 0; j < weighted.size(); ++j)
      EXPECT_NEAR(weighted[j] / 16, of_mean.values()[j], 1e-12);
  });
}

TEST(Sketch, NoiseEstimatedFromSketchesAgreesWithTheExactOne) {
  SeededRandom random(6);
  const std::vector<double> truth = NormalVector(random, 3000, 0.1);
  const std::vector<double> batches{4, 8, 16, 36};
  Moments variance_ratio, norm_ratio;
  constexpr int kNoiseRounds = 100;
  for (uint64_t round = 0; round < kNoiseRounds; ++round) {
    RoundMeasurements exact, sketched;
    std::vector<double> sum(truth.size()), sketch_sum(kBuckets), part(kBuckets);
    for (double b : batches) {
      std::vector<double> g = NormalVector(random, truth.size(), 1 / std::sqrt(b));
      GradientSketch sketch(kBuckets, 6, round);
      for (size_t i = 0; i < g.size(); ++i) {
        g[i] += truth[i];
        sum[i] += b * g[i];
      }
      sketch.Add(std::span<const double>(g));
      sketch.WriteScaled(b, part);
      for (size_t j = 0; j < part.size(); ++j) sketch_sum[j] += part[j];
      exact.workers.push_back({b, SquaredNorm(std::span<const double>(g))});
      sketched.workers.push_back({b, sketch.SquaredNorm()});
    }
    exact.mean_norm_squared = MeanNormSquared(sum, 64);
    sketched.mean_norm_squared = MeanNormSquared(sketch_sum, 64);
    const NoiseStatistics a = EstimateNoise(NoiseEstimator::kExact, exact);
    const NoiseStatistics b = EstimateNoise(NoiseEstimator::kSketch, sketched);
    variance_ratio.Add(b.variance / a.variance);
    norm_ratio.Add(b.gradient_norm_squared / a.gradient_norm_squared);
  }
  // Three independent deviations share the variance's sketch error.
  const double spread = std::sqrt(2.0 / kBuckets);
  EXPECT_NEAR(variance_ratio.mean(), 1, 4.5 * spread / std::sqrt(3.0 * kNoiseRounds));
  EXPECT_NEAR(norm_ratio.mean(), 1, 4.5 * spread / std::sqrt(kNoiseRounds));
  EXPECT_LT(std::sqrt(variance_ratio.variance()), spread);
}

TEST(Sketch, EveryRoundAndSeedHashesAnew) {
  const std::vector<double> x(1000, 1.0);
  const auto sketch = [&](uint64_t seed, uint64_t round) {
    GradientSketch s(64, seed, round);
    s.Add(std::span<const double>(x));
    return Values(s);
  };
  EXPECT_EQ(sketch(1, 1), sketch(1, 1));
  EXPECT_NE(sketch(1, 1), sketch(1, 2));
  EXPECT_NE(sketch(1, 1), sketch(2, 1));
}

TEST(Sketch, NonFiniteElementsShowInTheNorm) {
  for (float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> x(1000, 1.0F);
    x[123] = bad;
    GradientSketch sketch(64, 1, 1);
    sketch.Add(std::span<const float>(x));
    EXPECT_FALSE(std::isfinite(sketch.SquaredNorm()));
  }
}

}  // namespace
}  // namespace longstride
