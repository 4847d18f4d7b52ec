#include "core/schedule/local_steps.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/core/schedule/seeds.h"

namespace longstride {
namespace {

LocalStepsSpec Spec(LocalStepsPolicy policy) {
  LocalStepsSpec spec;
  spec.policy = policy;
  spec.steps = 4;
  spec.max_steps = 100;
  return spec;
}

TEST(LocalSteps, ConstantIsConstant) {
  EXPECT_EQ(LocalSteps(Spec(LocalStepsPolicy::kConstant), {}), 4);
}

TEST(LocalSteps, PostLocalSynchronizesEveryStepFirst) {
  LocalStepsSpec spec = Spec(LocalStepsPolicy::kPostLocal);
  spec.switch_samples = 1000;
  EXPECT_EQ(LocalSteps(spec, {.samples = 999}), 1);
  EXPECT_EQ(LocalSteps(spec, {.samples = 1000}), 4);
}

TEST(LocalSteps, QuadraticRuleGrowsAsTheRateFalls) {
  LocalStepsSpec spec = Spec(LocalStepsPolicy::kQsr);
  spec.qsr_coefficient = 0.25;
  EXPECT_EQ(LocalSteps(spec, {.learning_rate = 1}), 4);         // H_base
  EXPECT_EQ(LocalSteps(spec, {.learning_rate = 0.0625}), 16);   // (0.25 / 0.0625)^2
  EXPECT_EQ(LocalSteps(spec, {.learning_rate = 0.0626}), 15);   // rounded down
  EXPECT_EQ(LocalSteps(spec, {.learning_rate = 1e-3}), 100);    // H_max
  EXPECT_EQ(LocalSteps(spec, {.learning_rate = 1e-300}), 100);  // the square overflows
  EXPECT_EQ(LocalSteps(spec, {.learning_rate = 0}), 100);
}

TEST(LocalSteps, AutoIsTheSmallestThatKeepsCommunicationWithinItsShare) {
  LocalStepsSpec spec = Spec(LocalStepsPolicy::kAuto);
  ForEachSeed(500, [&](Random& random) {
    spec.communication_share = 0.02 + 0.9 * random.NextUniform();
    const double step = random.NextUniform();
    const double sync = 2 * random.NextUniform();
    const auto share = [&](int64_t h) { return sync / (sync + static_cast<double>(h) * step); };
    const int64_t h = LocalSteps(spec, {.step_seconds = step, .sync_seconds = sync});
    ASSERT_GE(h, 1);
    ASSERT_LE(h, 100);
    if (h < 100) {
      EXPECT_LE(share(h), spec.communication_share * (1 + 1e-12));
    }
    if (h > 1) {
      EXPECT_GT(share(h - 1), spec.communication_share * (1 - 1e-12));
    }
  });
}

TEST(LocalSteps, AutoCopesWithMissingTimings) {
  const LocalStepsSpec spec = Spec(LocalStepsPolicy::kAuto);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(LocalSteps(spec, {}), 1);
  EXPECT_EQ(LocalSteps(spec, {.step_seconds = nan, .sync_seconds = nan}), 1);
  EXPECT_EQ(LocalSteps(spec, {.step_seconds = 1, .sync_seconds = -1}), 1);
  EXPECT_EQ(LocalSteps(spec, {.step_seconds = 0, .sync_seconds = 1}), 100);
}

TEST(LocalSteps, NeverBelowOne) {
  LocalStepsSpec spec = Spec(LocalStepsPolicy::kConstant);
  spec.steps = 0;
  EXPECT_EQ(LocalSteps(spec, {}), 1);
}

}  // namespace
}  // namespace longstride
