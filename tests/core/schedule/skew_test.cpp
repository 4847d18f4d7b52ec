#include "core/schedule/skew.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/schedule/local_steps.h"

namespace longstride {
namespace {

LocalStepsSpec Spec(double tolerance = 1) {
  LocalStepsSpec spec;
  spec.policy = LocalStepsPolicy::kAuto;
  spec.max_steps = 64;
  spec.skew_tolerance = tolerance;
  return spec;
}

TEST(SkewLimit, IsWhereTheDriftBySkewOvertakesTheDriftByNoise) {
  EXPECT_EQ(SkewLimit(Spec(), {1, 0.2, 1}), 10) << "1 / (0.2 - 0.1)";
  EXPECT_EQ(SkewLimit(Spec(4), {1, 0.6, 1}), 8) << "4 / (0.6 - 0.1)";
  EXPECT_EQ(SkewLimit(Spec(4), {1, 6, 10}), 8) << "only the ratio counts";
  EXPECT_EQ(SkewLimit(Spec(), {1, 50, 1}), 1) << "never below one step";
  EXPECT_EQ(SkewLimit(Spec(), {1, 3, 0}), 1) << "nothing but skew";
}

TEST(SkewLimit, IsNoneWhereDataAreAlike) {
  EXPECT_EQ(SkewLimit(Spec(), {}), 0) << "nothing is known yet";
  EXPECT_EQ(SkewLimit(Spec(), {1, 0, 1}), 0);
  EXPECT_EQ(SkewLimit(Spec(), {1, -0.5, 1}), 0) << "below 0 by sampling error";
  EXPECT_EQ(SkewLimit(Spec(), {1, 0.1, 1}), 0) << "within sampling error";
  EXPECT_EQ(SkewLimit(Spec(), {1, 0.11, 1}), 0) << "beyond maxSteps";
  EXPECT_EQ(SkewLimit(Spec(), {1, 0, 0}), 0);
}

TEST(SkewLimit, FallsAsSkewGrows) {
  int64_t before = 64;
  for (double skew = 0.12; skew < 3; skew *= 1.1) {
    const int64_t limit = SkewLimit(Spec(), {1, skew, 1});
    ASSERT_LE(limit, before) << skew;
    ASSERT_GE(limit, 1);
    before = limit;
  }
  EXPECT_EQ(before, 1);
}

TEST(SkewAverage, MovesByATenthAndSkipsWhatIsNotFinite) {
  const SkewAverage first = Observe({}, 2, 4);
  EXPECT_EQ(first, (SkewAverage{1, 2, 4}));
  const SkewAverage second = Observe(first, 12, 14);
  EXPECT_EQ(second.observed, 2);
  EXPECT_NEAR(second.skew, 3, 1e-12);
  EXPECT_NEAR(second.noise, 5, 1e-12);
  for (const double bad : {std::nan(""), HUGE_VAL}) {
    EXPECT_EQ(Observe(second, bad, 1), second);
    EXPECT_EQ(Observe(second, 1, bad), second);
  }
  EXPECT_EQ(Observe(second, 1, -1), second);
}

TEST(LocalSteps, AutoObeysTheLinkAndTheSkew) {
  LocalStepsInput input{.step_seconds = 1, .sync_seconds = 2};
  EXPECT_EQ(LocalSteps(Spec(), input), 18) << "2 of 20 seconds";
  input.skew_limit = 5;
  EXPECT_EQ(LocalSteps(Spec(), input), 5);
  input.skew_limit = 30;
  EXPECT_EQ(LocalSteps(Spec(), input), 18) << "a limit never raises H";
  LocalStepsSpec constant = Spec();
  constant.policy = LocalStepsPolicy::kConstant;
  input.skew_limit = 5;
  EXPECT_EQ(LocalSteps(constant, input), constant.steps) << "the user's own H stays";
}

}  // namespace
}  // namespace longstride
