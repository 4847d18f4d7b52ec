#include "core/schedule/step_time_fit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/schedule/allocation.h"
#include "tests/core/schedule/seeds.h"

namespace longstride {
namespace {

std::vector<StepTimePoint> Measure(Random& random, const WorkerCost& truth, double noise,
                                   double outliers) {
  std::vector<StepTimePoint> points;
  for (const int64_t b : {1, 2, 4, 8, 16, 32, 48, 64, 96, 128}) {
    for (int repeat = 0; repeat < 4; ++repeat) {
      double seconds = StepSeconds(truth, b) * (1 + noise * random.NextNormal());
      if (random.NextUniform() < outliers) seconds *= 2 + 8 * random.NextUniform();
      points.push_back({b, seconds});
    }
  }
  return points;
}

WorkerCost RandomCost(Random& random) {
  WorkerCost cost;
  cost.alpha = 0.001 + 0.1 * random.NextUniform();
  cost.beta = 0.0005 + 0.01 * random.NextUniform();
  cost.micro_batch = Between(random, 5, 150);
  return cost;
}

TEST(StepTimeFit, RecoversAnExactLine) {
  ForEachSeed(50, [](Random& random) {
    const WorkerCost truth = RandomCost(random);
    const Result<StepTimeFit> fit = FitStepTime(Measure(random, truth, 0, 0), truth.micro_batch);
    ASSERT_TRUE(fit.ok());
    EXPECT_NEAR(fit->alpha, truth.alpha, 1e-9);
    EXPECT_NEAR(fit->beta, truth.beta, 1e-9);
    EXPECT_EQ(fit->used, 40);
    EXPECT_LT(fit->relative_error, 1e-9);
  });
}

TEST(StepTimeFit, OutliersDoNotMoveItsPredictions) {
  ForEachSeed(100, [](Random& random) {
    const WorkerCost truth = RandomCost(random);
    const Result<StepTimeFit> fit =
        FitStepTime(Measure(random, truth, 0.02, 0.25), truth.micro_batch);
    ASSERT_TRUE(fit.ok());
    WorkerCost fitted = truth;
    fitted.alpha = fit->alpha;
    fitted.beta = fit->beta;
    for (const int64_t b : {1, 16, 64, 128}) {
      EXPECT_NEAR(StepSeconds(fitted, b) / StepSeconds(truth, b), 1, 0.06) << "batch " << b;
    }
    EXPECT_EQ(fit->used + fit->dropped, 40);
  });
}

TEST(StepTimeFit, IsNeverNegative) {
  ForEachSeed(200, [](Random& random) {
    WorkerCost truth = RandomCost(random);
    if (random.NextBelow(2) == 0)
      truth.alpha = 0;
    else
      truth.beta = 0;
    const Result<StepTimeFit> fit =
        FitStepTime(Measure(random, truth, 0.05, 0.1), truth.micro_batch);
    ASSERT_TRUE(fit.ok());
    EXPECT_GE(fit->alpha, 0);
    EXPECT_GE(fit->beta, 0);
    EXPECT_GT(fit->alpha + fit->beta, 0);
  });
}

TEST(StepTimeFit, AttributesTimeToSamplesWhereItCannotTell) {
  const std::vector<StepTimePoint> one_size{{8, 4.0}, {8, 4.0}, {8, 4.0}};
  EXPECT_EQ(FitStepTime(one_size, 64)->alpha, 0);
  EXPECT_EQ(FitStepTime(one_size, 64)->beta, 0.5);
  const std::vector<StepTimePoint> multiples{{8, 4.0}, {16, 8.0}, {32, 16.0}};
  EXPECT_EQ(FitStepTime(multiples, 8)->alpha, 0);
  EXPECT_DOUBLE_EQ(FitStepTime(multiples, 8)->beta, 0.5);
}

TEST(StepTimeFit, InvalidPointsAreDropped) {
  const std::vector<StepTimePoint> points{
      {8, 4.0}, {0, 1.0}, {4, -1.0}, {4, std::nan("")}, {16, 8.0}};
  const Result<StepTimeFit> fit = FitStepTime(points, 64);
  EXPECT_EQ(fit->used, 2);
  EXPECT_EQ(fit->dropped, 3);
  EXPECT_EQ(FitStepTime({}, 64).error().code, ErrorCode::kData);
}

}  // namespace
}  // namespace longstride
