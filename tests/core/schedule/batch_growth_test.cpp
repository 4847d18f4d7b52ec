#include "core/schedule/batch_growth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/core/schedule/seeds.h"

namespace longstride {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Follows the test at once: no average, no hysteresis, no growth cap.
BatchSpec Plain() {
  BatchSpec spec;
  spec.initial = 64;
  spec.norm_test.eta = 0.5;
  spec.norm_test.ema = 0;
  spec.norm_test.hysteresis = 0;
  spec.norm_test.max_growth = kInfinity;
  return spec;
}

NoiseStatistics Statistics(double variance, double norm_squared, double product_variance = 0) {
  return {4, 64, variance, norm_squared, product_variance};
}

GrowthState At(int64_t batch) {
  GrowthState state;
  state.batch = batch;
  return state;
}

const GlobalBatchLimits kWide{1, int64_t{1} << 40};

NoiseStatistics RandomStatistics(Random& random) {
  const double norm_squared = std::exp(6 * random.NextNormal());
  const double variance = norm_squared * std::exp(4 + 3 * random.NextNormal());
  return {Between(random, 1, 8), static_cast<double>(Between(random, 1, 4096)), variance,
          norm_squared, variance * norm_squared * random.NextUniform()};
}

BatchSpec RandomSpec(Random& random) {
  BatchSpec spec;
  spec.initial = Between(random, 1, 5000);
  NormTestSpec& t = spec.norm_test;
  t.test = static_cast<BatchTest>(random.NextBelow(3));
  t.scope = static_cast<TestScope>(random.NextBelow(2));
  t.eta = 0.1 + random.NextUniform();
  t.ema = random.NextUniform();
  t.hysteresis = 0.2 * random.NextUniform();
  t.max_growth = 1 + 2 * random.NextUniform();
  t.monotone = random.NextBelow(2) == 0;
  t.bias_corrected = random.NextBelow(2) == 0;
  return spec;
}

TEST(BatchGrowth, GrowsToTheCeilingOfWhatTheTestAsksFor) {
  EXPECT_EQ(Advance(Plain(), At(64), Statistics(100.5, 4), kWide).next.batch, 101);
  EXPECT_EQ(Advance(Plain(), At(64), Statistics(63, 4), kWide).next.batch, 64);
}

TEST(BatchGrowth, ShrinksOnlyWhenNotMonotone) {
  BatchSpec spec = Plain();
  spec.norm_test.monotone = false;
  EXPECT_EQ(Advance(spec, At(64), Statistics(10, 4), kWide).next.batch, 10);
  spec.norm_test.max_growth = 2;
  EXPECT_EQ(Advance(spec, At(64), Statistics(10, 4), kWide).next.batch, 32);
  EXPECT_EQ(Advance(spec, At(64), Statistics(0, 4), {48, 100}).next.batch, 48);
}

TEST(BatchGrowth, HysteresisIgnoresSmallDifferencesEitherWay) {
  BatchSpec spec = Plain();
  spec.norm_test.hysteresis = 0.05;
  spec.norm_test.monotone = false;
  for (double required : {95.0, 105.0}) {
    EXPECT_EQ(Advance(spec, At(100), Statistics(required, 4), kWide).next.batch, 100);
  }
  EXPECT_EQ(Advance(spec, At(100), Statistics(106, 4), kWide).next.batch, 106);
  EXPECT_EQ(Advance(spec, At(100), Statistics(94, 4), kWide).next.batch, 94);
}

TEST(BatchGrowth, GrowthPerRoundIsCapped) {
  BatchSpec spec = Plain();
  spec.norm_test.max_growth = 1.5;
  EXPECT_EQ(Advance(spec, At(65), Statistics(1e6, 4), kWide).next.batch, 97);
  EXPECT_EQ(Advance(spec, At(1), Statistics(1e6, 4), kWide).next.batch, 2);    // never stuck
  EXPECT_EQ(Advance(spec, At(65), Statistics(1e6, 0), kWide).next.batch, 97);  // required: infinite
  EXPECT_EQ(Advance(Plain(), At(65), Statistics(1e6, 0), kWide).next.batch, kWide.max);
}

TEST(BatchGrowth, AveragesNumeratorAndDenominatorSeparately) {
  BatchSpec spec = Plain();
  spec.norm_test.ema = 0.5;
  const GrowthStep first = Advance(spec, At(64), Statistics(100, 4, 8), kWide);
  EXPECT_EQ(first.next.average.variance, 100);  // not pulled towards the zeros it starts from
  const GrowthStep second = Advance(spec, first.next, Statistics(300, 12, 24), kWide);
  EXPECT_EQ(second.next.average.variance, 200);
  EXPECT_EQ(second.next.average.gradient_norm_squared, 8);
  EXPECT_EQ(second.next.average.inner_product_variance, 16);
  EXPECT_EQ(second.outcome.required_batch, 100);
  EXPECT_EQ(second.next.observed, 2);
}

TEST(BatchGrowth, BiasCorrectionTakesTheNoiseOutOfTheGradient) {
  BatchSpec spec = Plain();
  spec.norm_test.bias_corrected = true;
  // ||gbar||^2 - variance / samples = 6 - 128 / 64 = 4.
  EXPECT_EQ(Advance(spec, At(64), Statistics(128, 6), kWide).outcome.required_batch, 128);
}

TEST(BatchGrowth, FixedPolicyMeasuresButKeepsTheBatch) {
  BatchSpec spec = Plain();
  spec.policy = BatchPolicy::kFixed;
  const GrowthStep step = Advance(spec, At(64), Statistics(1e6, 4), kWide);
  EXPECT_EQ(step.next.batch, 64);
  EXPECT_FALSE(step.outcome.passed);
  EXPECT_EQ(step.next.average.variance, 1e6);
}

TEST(BatchGrowth, FixedPolicyGoesBackToTheInitialBatchOnceTheLimitsAllow) {
  BatchSpec spec = Plain();
  spec.policy = BatchPolicy::kFixed;
  for (const double variance : {100.0, kInfinity}) {  // usable or not
    const GrowthState less = Advance(spec, At(64), Statistics(variance, 4), {1, 48}).next;
    EXPECT_EQ(less.batch, 48);
    EXPECT_EQ(WantedBatch(spec, less), 64);
    EXPECT_EQ(Advance(spec, less, Statistics(variance, 4), kWide).next.batch, 64);
  }
}

TEST(BatchGrowth, StartsWithinTheLimits) {
  EXPECT_EQ(InitialGrowth(Plain(), {100, 200}).batch, 100);
  EXPECT_EQ(InitialGrowth(Plain(), {1, 32}).batch, 32);
  EXPECT_EQ(InitialGrowth(Plain(), kWide).batch, 64);
}

TEST(BatchGrowth, LimitsHoldEvenForAMonotoneBatch) {
  EXPECT_EQ(Advance(Plain(), At(64), Statistics(1, 4), {1, 40}).next.batch, 40);
  EXPECT_EQ(Advance(Plain(), At(64), Statistics(kInfinity, 4), {1, 40}).next.batch, 40);
  EXPECT_EQ(Advance(Plain(), At(64), Statistics(1, 4), {80, 400}).next.batch, 80);
}

TEST(BatchGrowth, NonFiniteStatisticsChangeNothingAndAreCounted) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  BatchSpec products = Plain();
  products.norm_test.test = BatchTest::kInnerProduct;
  GrowthState state = Advance(Plain(), At(64), Statistics(100, 4, 8), kWide).next;
  const auto expect_skipped = [&](const BatchSpec& spec, const NoiseStatistics& bad) {
    const GrowthStep step = Advance(spec, state, bad, kWide);
    EXPECT_TRUE(step.skipped);
    EXPECT_EQ(step.next.skipped, 1);
    EXPECT_EQ(step.next.batch, state.batch);
    EXPECT_EQ(step.next.observed, state.observed);
    EXPECT_EQ(step.next.average.variance, state.average.variance);
    EXPECT_EQ(step.next.average.gradient_norm_squared, state.average.gradient_norm_squared);
    EXPECT_EQ(step.next.average.corrected_norm_squared, state.average.corrected_norm_squared);
    EXPECT_EQ(step.next.average.inner_product_variance, state.average.inner_product_variance);
  };
  for (double bad : {nan, kInfinity, -kInfinity}) {
    expect_skipped(Plain(), Statistics(bad, 4));
    expect_skipped(Plain(), Statistics(100, bad));
    expect_skipped(products, Statistics(100, 4, bad));
  }
  expect_skipped(Plain(), Statistics(-1, 4));
  expect_skipped(Plain(), NoiseStatistics{});
  // The norm test does not need the inner products.
  EXPECT_FALSE(Advance(Plain(), state, Statistics(100, 4, nan), kWide).skipped);
}

TEST(BatchGrowth, PropertiesHoldOverRandomRuns) {
  ForEachSeed(500, [](Random& random) {
    const BatchSpec spec = RandomSpec(random);
    GlobalBatchLimits limits{Between(random, 1, 64), Between(random, 64, 20000)};
    GrowthState state = InitialGrowth(spec, limits);
    for (int round = 0; round < 40; ++round) {
      const bool members_changed = random.NextBelow(10) == 0;
      if (members_changed) limits = {Between(random, 1, 64), Between(random, 64, 20000)};
      NoiseStatistics statistics = RandomStatistics(random);
      const bool broken = random.NextBelow(8) == 0;
      if (broken) statistics.variance = kNotMeasured;
      const GrowthStep step = Advance(spec, state, statistics, limits);
      ASSERT_GE(step.next.batch, limits.min);
      ASSERT_LE(step.next.batch, limits.max);
      ASSERT_EQ(step.next.skipped, state.skipped + (broken ? 1 : 0));
      if (!members_changed) {
        const double cap = std::max(spec.norm_test.max_growth * static_cast<double>(state.batch),
                                    static_cast<double>(state.batch + 1));
        ASSERT_LE(static_cast<double>(step.next.batch), cap);
        if (spec.norm_test.monotone) {
          ASSERT_GE(step.next.batch, state.batch);
        }
        if (broken) {
          ASSERT_EQ(step.next.batch, state.batch);
        }
        if (step.outcome.passed && spec.norm_test.monotone) {
          ASSERT_EQ(step.next.batch, state.batch);
        }
      }
      state = step.next;
    }
  });
}

TEST(BatchGrowth, ScalingAllGradientsChangesNoDecision) {
  ForEachSeed(300, [](Random& random) {
    const BatchSpec spec = RandomSpec(random);
    // A power of two scales without rounding, so decisions must be equal exactly.
    const double c2 = std::ldexp(1.0, static_cast<int>(2 * Between(random, -20, 20)));
    GrowthState a = InitialGrowth(spec, kWide);
    GrowthState b = a;
    for (int round = 0; round < 20; ++round) {
      const NoiseStatistics s = RandomStatistics(random);
      NoiseStatistics scaled = s;
      scaled.variance *= c2;
      scaled.gradient_norm_squared *= c2;
      scaled.inner_product_variance *= c2 * c2;
      const GrowthStep step = Advance(spec, a, s, kWide);
      const GrowthStep scaled_step = Advance(spec, b, scaled, kWide);
      ASSERT_EQ(step.next.batch, scaled_step.next.batch);
      ASSERT_EQ(step.outcome.ratio, scaled_step.outcome.ratio);
      a = step.next;
      b = scaled_step.next;
    }
  });
}

}  // namespace
}  // namespace longstride
