#include "core/schedule/norm_test.h"

#include <gtest/gtest.h>

#include <limits>

namespace longstride {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

NormTestSpec Spec(BatchTest test) {
  NormTestSpec spec;
  spec.test = test;
  spec.eta = 0.5;
  spec.theta = 0.5;
  spec.nu = 2;
  return spec;
}

TEST(NormTest, AsksForTheBatchAtWhichNoiseIsEtaTimesTheGradient) {
  const NormTestSpec spec = Spec(BatchTest::kNorm);
  const TestOutcome fails = TestBatch(spec, {100, 4, 0}, 99, 4);
  EXPECT_EQ(fails.required_batch, 100);  // 100 / (0.25 * 4)
  EXPECT_FALSE(fails.passed);
  EXPECT_DOUBLE_EQ(fails.ratio, 100.0 / 99);
  EXPECT_TRUE(TestBatch(spec, {100, 4, 0}, 100, 4).passed);
}

TEST(NormTest, LocalScopeAsksTheSameOfEveryLocalBatch) {
  NormTestSpec spec = Spec(BatchTest::kNorm);
  spec.scope = TestScope::kLocal;
  EXPECT_EQ(TestBatch(spec, {100, 4, 0}, 100, 4).required_batch, 400);
  EXPECT_FALSE(TestBatch(spec, {100, 4, 0}, 399, 4).passed);
  EXPECT_TRUE(TestBatch(spec, {100, 4, 0}, 400, 4).passed);
}

TEST(NormTest, InnerProductTestLooksAlongTheGradientOnly) {
  const NormTestSpec spec = Spec(BatchTest::kInnerProduct);
  // Var<g, gbar> / (theta^2 ||gbar||^4) = 32 / (0.25 * 16).
  EXPECT_EQ(TestBatch(spec, {100, 4, 32}, 8, 4).required_batch, 8);
  EXPECT_EQ(TestBatch(spec, {1e9, 4, 32}, 8, 4).required_batch, 8);
}

TEST(NormTest, AugmentedTestAlsoBoundsTheOrthogonalNoise) {
  const NormTestSpec spec = Spec(BatchTest::kAugmentedInnerProduct);
  EXPECT_EQ(TestBatch(spec, {100, 4, 32}, 8, 4).required_batch, 8);     // (100 - 8) / (4 * 4) < 8
  EXPECT_EQ(TestBatch(spec, {1608, 4, 32}, 8, 4).required_batch, 100);  // (1608 - 8) / 16
  EXPECT_EQ(TestBatch(spec, {7, 4, 32}, 8, 4).required_batch, 8);       // rounding below 0 is 0
}

TEST(NormTest, AGradientHiddenByItsNoiseAsksForAllThereIs) {
  for (BatchTest test :
       {BatchTest::kNorm, BatchTest::kInnerProduct, BatchTest::kAugmentedInnerProduct}) {
    for (double norm_squared : {0.0, -3.0}) {
      const TestOutcome outcome = TestBatch(Spec(test), {5, norm_squared, 1}, 64, 4);
      EXPECT_EQ(outcome.required_batch, kInfinity);
      EXPECT_FALSE(outcome.passed);
    }
  }
}

TEST(NormTest, NoiselessGradientsPassAtAnyBatch) {
  for (BatchTest test :
       {BatchTest::kNorm, BatchTest::kInnerProduct, BatchTest::kAugmentedInnerProduct}) {
    EXPECT_EQ(TestBatch(Spec(test), {0, 4, 0}, 1, 4).required_batch, 0);
    EXPECT_TRUE(TestBatch(Spec(test), {0, 4, 0}, 1, 4).passed);
  }
}

TEST(NormTest, WhereNothingMovesTheBatchIsRight) {
  const TestOutcome outcome = TestBatch(Spec(BatchTest::kNorm), {0, 0, 0}, 64, 4);
  EXPECT_EQ(outcome.required_batch, 64);
  EXPECT_TRUE(outcome.passed);
}

TEST(NormTest, TinyGradientsDoNotUnderflow) {
  // ||gbar||^4 would be 1e-400.
  const NormTestSpec spec = Spec(BatchTest::kInnerProduct);
  EXPECT_NEAR(TestBatch(spec, {1e-198, 1e-200, 1e-300}, 8, 4).required_batch, 4e100, 1e90);
}

}  // namespace
}  // namespace longstride
