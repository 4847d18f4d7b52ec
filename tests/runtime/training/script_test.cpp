// A user's own scripted module over whole runs: what built-in models never do.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cluster.h"

namespace longstride::testing {
namespace {

TrainingJob ScriptJob(const std::string& path) {
  TrainingJob job = SmallJob();
  job.spec.model.kind = ModelKind::kTorchscript;
  job.spec.model.torchscript.path = path;
  return job;
}

// The scores of 4 classes, mixed as attention under a mask of infinities does; a running mean of
// the first feature, which they do not depend on.
TrainingJob MaskedJob() {
  const double infinity = std::numeric_limits<double>::infinity();
  torch::jit::Module module("Masked");
  module.register_attribute("training", c10::BoolType::get(), true);
  module.register_parameter("weight", at::linspace(-1, 1, 28).view({7, 4}), false);
  module.register_buffer("mask", at::full({4, 4}, -infinity).triu(1));
  module.register_buffer("mean", at::zeros({1}));
  module.define(R"(
    def forward(self, x):
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * x[:, 0].detach().mean())
        return torch.matmul(torch.matmul(x[:, 1:], self.weight), torch.softmax(self.mask, 1))
  )");
  const std::string path = FreshFolder("masked") + "/masked.pt";
  module.save(path);
  return ScriptJob(path);
}

TEST(ConstantBuffers, MayHoldInfinities) {
  for (const int workers : {1, 2, 3}) {
    for (const Aggregation aggregation : {Aggregation::kMean, Aggregation::kTrimmedMean}) {
      TrainingJob job = MaskedJob();
      job.spec.training.synchronization.aggregation = aggregation;
      Cluster cluster(job, workers);
      const std::vector<double> before = cluster.Buffers();
      ASSERT_EQ(std::ranges::count(before, -std::numeric_limits<double>::infinity()), 6);
      cluster.RunToEnd({EqualPlan(workers)});
      for (int r = 0; r < workers; ++r) {
        for (const RoundReport& report : cluster.reports(r)) EXPECT_TRUE(report.delta_finite);
        const std::vector<double> after = cluster.Buffers(r);
        EXPECT_TRUE(std::equal(before.begin(), before.end() - 1, after.begin())) << "the mask";
        EXPECT_NE(after.back(), before.back()) << "the running mean";
      }
      EXPECT_LT(cluster.reports().back().loss, cluster.reports().front().loss);
    }
  }
}

TEST(RunningStatistics, ThatAreNotFiniteKeepAnUpdateOut) {
  TrainingJob job = MaskedJob();
  job.spec.training.max_samples = 32;  // one round
  const auto clean = TrainingSet(job);
  Cluster cluster(job, {clean, Poisoned(clean)});
  cluster.RunToEnd({EqualPlan(2)});
  EXPECT_TRUE(cluster.reports(0)[0].delta_finite);
  EXPECT_FALSE(cluster.reports(1)[0].delta_finite);
  EXPECT_EQ(cluster.reports(0)[0].samples, 16);
  EXPECT_TRUE(std::isfinite(cluster.Buffers(1).back()));
}

}  // namespace
}  // namespace longstride::testing
