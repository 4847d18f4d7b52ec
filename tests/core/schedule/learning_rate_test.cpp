#include "core/schedule/learning_rate.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numbers>

#include "tests/core/schedule/seeds.h"

namespace longstride {
namespace {

double At(const LearningRateSpec& spec, double position, int64_t max_samples = 0) {
  return ScheduledRate(spec, max_samples, {position, 10});
}

TEST(CosPi, IsWithinRoundingOfTheCosine) {
  for (int i = 0; i <= 20000; ++i) {
    const double x = i / 20000.0;
    const double truth =
        static_cast<double>(cosl(std::numbers::pi_v<long double> * static_cast<long double>(x)));
    EXPECT_NEAR(CosPi(x), truth, 3e-16) << x;
  }
  EXPECT_EQ(CosPi(0), 1);
  EXPECT_EQ(CosPi(0.5), 0);
  EXPECT_EQ(CosPi(1), -1);
}

TEST(CosPi, HasTheSameBitsEverywhere) {
  uint64_t hash = 0;
  for (int i = 0; i <= 20000; ++i) hash = Hash64(hash, std::bit_cast<uint64_t>(CosPi(i / 20000.0)));
  EXPECT_EQ(hash, 6594455858843966839ULL);
}

TEST(LearningRate, WarmsUpLinearlyFromAUsefulFirstStep) {
  LearningRateSpec spec;
  spec.value = 0.5;
  spec.warmup_samples = 100;
  EXPECT_DOUBLE_EQ(At(spec, 0), 0.05);  // the first step of 10 samples
  EXPECT_DOUBLE_EQ(At(spec, 40), 0.25);
  EXPECT_DOUBLE_EQ(At(spec, 95), 0.5);  // never above the peak
  EXPECT_DOUBLE_EQ(At(spec, 100), 0.5);
  EXPECT_DOUBLE_EQ(At(spec, 1e9), 0.5);
}

TEST(LearningRate, CosineFallsToItsFinalFraction) {
  LearningRateSpec spec;
  spec.value = 2;
  spec.schedule = ScheduleKind::kCosine;
  spec.warmup_samples = 100;
  spec.decay_samples = 1100;
  spec.final_fraction = 0.1;
  EXPECT_DOUBLE_EQ(At(spec, 100), 2);
  EXPECT_DOUBLE_EQ(At(spec, 600), 2 * 0.55);
  EXPECT_DOUBLE_EQ(At(spec, 350), 2 * (0.1 + 0.9 * (1 + std::numbers::sqrt2 / 2) / 2));
  EXPECT_DOUBLE_EQ(At(spec, 1100), 0.2);
  EXPECT_DOUBLE_EQ(At(spec, 5000), 0.2);
}

TEST(LearningRate, LinearFallsToItsFinalFraction) {
  LearningRateSpec spec;
  spec.value = 1;
  spec.schedule = ScheduleKind::kLinear;
  spec.final_fraction = 0.5;
  EXPECT_DOUBLE_EQ(At(spec, 250, 1000), 0.875);  // the job's length stands in for decay_samples
  EXPECT_DOUBLE_EQ(At(spec, 1000, 1000), 0.5);
  EXPECT_DOUBLE_EQ(At(spec, 250, 0), 1);  // no end, no decay
}

TEST(LearningRate, DecayThatEndsWithinTheWarmUpIsAtItsEndAfterIt) {
  LearningRateSpec spec;
  spec.value = 1;
  spec.schedule = ScheduleKind::kLinear;
  spec.warmup_samples = 100;
  spec.decay_samples = 100;
  spec.final_fraction = 0.25;
  EXPECT_DOUBLE_EQ(At(spec, 90), 1);
  EXPECT_DOUBLE_EQ(At(spec, 100), 0.25);
}

TEST(LearningRate, StepMultipliesAtEachMark) {
  LearningRateSpec spec;
  spec.value = 1;
  spec.schedule = ScheduleKind::kStep;
  spec.step_samples = {100, 200};
  spec.step_factor = 0.5;
  EXPECT_EQ(At(spec, 99), 1);
  EXPECT_EQ(At(spec, 100), 0.5);
  EXPECT_EQ(At(spec, 200), 0.25);
}

TEST(LearningRate, LongStridesLookPastTheWarmUp) {
  LearningRateSpec spec;
  spec.value = 1;
  spec.warmup_samples = 100;
  spec.schedule = ScheduleKind::kLinear;
  spec.decay_samples = 300;
  EXPECT_EQ(RateAfterWarmup(spec, 0, 0), 1);
  EXPECT_EQ(RateAfterWarmup(spec, 0, 200), 0.5);
}

TEST(LearningRate, FollowsTheBatchAsCoupled) {
  EXPECT_EQ(CouplingFactor(CouplingKind::kNone, 400, 100, 2), 1);
  EXPECT_EQ(CouplingFactor(CouplingKind::kLinear, 400, 100, 3), 4);
  EXPECT_EQ(CouplingFactor(CouplingKind::kSqrt, 400, 100, 3), 2);
  EXPECT_EQ(CouplingFactor(CouplingKind::kAdascale, 400, 100, 3), 3);
}

TEST(LearningRate, AdaScaleProgressesByItsGain) {
  EXPECT_EQ(ProgressOfStep(CouplingKind::kAdascale, 400, 100, 3), 300);
  EXPECT_EQ(ProgressOfStep(CouplingKind::kLinear, 400, 100, 3), 400);
}

TEST(AdaScale, GainLiesBetweenOneAndTheScale) {
  ForEachSeed(300, [](Random& random) {
    const double variance = std::exp(5 * random.NextNormal());
    const double signal = 3 * random.NextNormal();
    const int64_t batch = Between(random, 1, 5000);
    const double scale = static_cast<double>(batch) / 256;
    const double gain = AdaScaleGain(variance, signal, batch, 256);
    EXPECT_GE(gain, std::min(1.0, scale) * (1 - 1e-15));
    EXPECT_LE(gain, std::max(1.0, scale) * (1 + 1e-15));
  });
}

TEST(AdaScale, AllNoiseGainsTheWholeScaleAndNoNoiseNothing) {
  EXPECT_EQ(AdaScaleGain(5, -1, 1024, 256), 4);
  EXPECT_EQ(AdaScaleGain(5, 0, 1024, 256), 4);
  EXPECT_EQ(AdaScaleGain(0, 1, 1024, 256), 1);
  EXPECT_EQ(AdaScaleGain(0, 0, 1024, 256), 1);
  EXPECT_EQ(AdaScaleGain(std::nan(""), 1, 1024, 256), 1);
  EXPECT_EQ(AdaScaleGain(1, std::nan(""), 1024, 256), 1);
  EXPECT_DOUBLE_EQ(AdaScaleGain(256, 1, 1024, 256), 1.6);  // (1 + 1) / (1/4 + 1)
}

}  // namespace
}  // namespace longstride
