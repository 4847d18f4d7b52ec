// Inner optimizers against numbers that Python's torch.optim gave for the same gradients; outer
// optimizers against their formulas.
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/training/inner_optimizer.h"
#include "runtime/training/kernels.h"
#include "runtime/training/outer_optimizer.h"

namespace longstride {
namespace {

struct OptimizerCase {
  const char* name;
  OptimizerSpec spec;
  double expected[5];  // torch 2.15, float64
};

class InnerOptimizers : public ::testing::TestWithParam<OptimizerCase> {};

// Gradient of element i in step k.
double GradientAt(int i, int k, double w) {
  return ((i + 1) * 0.25 - 0.5 * k / (i + 2)) * w + 0.125 * (k - 3);
}

template <typename T>
std::vector<T> SevenSteps(const OptimizerSpec& spec, bool in_segments) {
  std::vector<T> w = {0.5, -1.25, 2.0, 0.0, -0.03125};
  InnerOptimizer<T> optimizer(spec, 5);
  for (int k = 1; k <= 7; ++k) {
    std::vector<T> g(5);
    for (int i = 0; i < 5; ++i) g[i] = static_cast<T>(GradientAt(i, k, w[i]));
    const std::span<const T> all(g);
    const std::vector<GradientSegment<T>> segments =
        in_segments ? std::vector<GradientSegment<T>>{{0, all.first(2)}, {2, all.subspan(2)}}
                    : std::vector<GradientSegment<T>>{{0, all}};
    optimizer.Step(std::span<T>(w), segments, 0.1, 1);
  }
  return w;
}

TEST_P(InnerOptimizers, GiveTorchsNumbers) {
  const std::vector<double> w = SevenSteps<double>(GetParam().spec, false);
  for (int i = 0; i < 5; ++i)
    EXPECT_NEAR(w[i], GetParam().expected[i], 1e-13 * std::abs(GetParam().expected[i]) + 1e-15);
}

TEST_P(InnerOptimizers, InSinglePrecisionStayClose) {
  const std::vector<float> w = SevenSteps<float>(GetParam().spec, false);
  for (int i = 0; i < 5; ++i) EXPECT_NEAR(w[i], GetParam().expected[i], 2e-5);
}

TEST_P(InnerOptimizers, DoNotDependOnHowGradientsAreCut) {
  EXPECT_EQ(SevenSteps<double>(GetParam().spec, false), SevenSteps<double>(GetParam().spec, true));
}

OptimizerSpec Spec(OptimizerKind kind, double momentum, bool nesterov, double beta2, double decay) {
  OptimizerSpec spec;
  spec.kind = kind;
  spec.momentum = momentum;
  spec.nesterov = nesterov;
  spec.beta2 = beta2;
  spec.weight_decay = decay;
  return spec;
}

INSTANTIATE_TEST_SUITE_P(
    , InnerOptimizers,
    ::testing::Values(OptimizerCase{"sgd",
                                    Spec(OptimizerKind::kSgd, 0, false, 0.999, 0),
                                    {0.7412399467773438, -1.4868895802469135, 1.5795643577880858,
                                     -0.093258993776, -0.1098909627730758}},
                      OptimizerCase{"sgd_decay",
                                    Spec(OptimizerKind::kSgd, 0, false, 0.999, 0.01),
                                    {0.7357061976263973, -1.4773900776500988, 1.567524050078482,
                                     -0.0933022010606778, -0.10979123873691914}},
                      OptimizerCase{"sgd_momentum",
                                    Spec(OptimizerKind::kSgd, 0.9, false, 0.999, 0.01),
                                    {1.3565524875039314, -1.2633700382711242, 0.39616383936520977,
                                     -0.10422130918701007, -0.11455946353910207}},
                      OptimizerCase{"sgd_nesterov",
                                    Spec(OptimizerKind::kSgd, 0.9, true, 0.999, 0.01),
                                    {1.8151730635886396, -1.4560226739645539, 0.20585058554384977,
                                     -0.21181775687897064, -0.22119461347754807}},
                      OptimizerCase{"adagrad",
                                    Spec(OptimizerKind::kAdagrad, 0, false, 0.999, 0.01),
                                    {0.9977399055003338, -1.3400361738916893, 1.6836531737953881,
                                     -0.16334947414195056, -0.17413437874114673}},
                      OptimizerCase{"adam",
                                    Spec(OptimizerKind::kAdam, 0, false, 0.999, 0.01),
                                    {1.1941230955952944, -1.0525989768888322, 1.3392825702091051,
                                     -0.012863880008384967, -0.043379776146761084}},
                      OptimizerCase{"adamw",
                                    Spec(OptimizerKind::kAdamw, 0, false, 0.95, 0.1),
                                    {1.129870907914027, -0.9821352065350153, 1.216083287159653,
                                     -0.012176272193342524, -0.04238751711267653}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(InnerOptimizer, ResetForgetsStateAndStepCount) {
  InnerOptimizer<double> optimizer(Spec(OptimizerKind::kAdam, 0, false, 0.999, 0), 3);
  std::vector<double> w(3), g = {1, 2, 3};
  const std::vector<GradientSegment<double>> segments = {{0, g}};
  optimizer.Step(std::span<double>(w), segments, 0.1, 1);
  EXPECT_EQ(optimizer.steps(), 1);
  optimizer.Reset();
  EXPECT_EQ(optimizer.steps(), 0);
  for (const double x : optimizer.state()) EXPECT_EQ(x, 0);
}

TEST(InnerOptimizer, GradientScaleIsAppliedBeforeDecay) {
  InnerOptimizer<double> optimizer(Spec(OptimizerKind::kSgd, 0, false, 0.999, 0.5), 1);
  std::vector<double> w = {2}, g = {10};
  optimizer.Step(std::span<double>(w), std::vector<GradientSegment<double>>{{0, g}}, 1, 0.1);
  EXPECT_DOUBLE_EQ(w[0], 2 - (0.1 * 10 + 0.5 * 2));
}

TEST(OuterOptimizer, AverageAddsTheMeanUpdate) {
  OuterOptimizer<double> outer({.kind = OuterOptimizerKind::kAverage}, 2);
  const std::vector<double> anchor = {1, 2}, update = {0.25, -0.5};
  std::vector<double> w(2);
  outer.Step(anchor, update, 0.1, w);
  EXPECT_EQ(w, (std::vector<double>{1.25, 1.5}));
  EXPECT_TRUE(outer.state().empty());
}

TEST(OuterOptimizer, NesterovIsSgdWithNesterovMomentumOnTheOuterGradient) {
  OuterOptimizer<double> outer(
      {.kind = OuterOptimizerKind::kNesterov, .learning_rate = 0.7, .momentum = 0.9}, 1);
  // torch.optim.SGD([w], lr=0.7, momentum=0.9, nesterov=True) with w.grad = -Delta.
  double expected = 1, velocity = 0;
  std::vector<double> w = {1};
  for (const double delta : {0.5, -0.25, 0.125}) {
    velocity = 0.9 * velocity - delta;
    expected -= 0.7 * (-delta + 0.9 * velocity);
    const std::vector<double> anchor = w, update = {delta};
    outer.Step(anchor, update, 0.1, w);
    EXPECT_NEAR(w[0], expected, 1e-15);
  }
}

TEST(OuterOptimizer, SlowMoFollowsThePaper) {
  OuterOptimizer<double> outer(
      {.kind = OuterOptimizerKind::kSlowmo, .learning_rate = 1.0, .momentum = 0.5}, 1);
  // u = beta u + (x_0 - x_tau) / gamma, x = x_0 - alpha gamma u [Wang et al. 2019, eq. 2, 3].
  double expected = 1, u = 0;
  std::vector<double> w = {1};
  for (const double delta : {0.5, -0.25, 0.125}) {
    const double gamma = 0.1;
    u = 0.5 * u - delta / gamma;
    expected -= 1.0 * gamma * u;
    const std::vector<double> anchor = w, update = {delta};
    outer.Step(anchor, update, gamma, w);
    EXPECT_NEAR(w[0], expected, 1e-15);
  }
}

TEST(OuterOptimizer, SlowMoWithoutMomentumAndRateOneIsAveraging) {
  OuterOptimizer<double> outer(
      {.kind = OuterOptimizerKind::kSlowmo, .learning_rate = 1.0, .momentum = 0.0}, 1);
  const std::vector<double> anchor = {1}, update = {0.5};
  std::vector<double> w(1);
  outer.Step(anchor, update, 0.25, w);
  EXPECT_EQ(w[0], 1.5);
  outer.Step(anchor, update, 0, w);  // a rate of zero cannot have moved anything
  EXPECT_EQ(w[0], 1);
}

}  // namespace
}  // namespace longstride
