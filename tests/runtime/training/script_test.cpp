// A user's own scripted module over whole runs: what built-in models never do.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cluster.h"
#include "core/base/clock.h"
#include "runtime/profile/throughput.h"

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
  module.register_parameter("weight", at::linspace(-1, 1, 28).view({7, 4}).requires_grad_(), false);
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

// tests/runtime/model/fixtures: batch normalization of one value per channel and sample.
TrainingJob NormalizingJob() {
  TrainingJob job = ScriptJob(LONGSTRIDE_SOURCE_DIR "/tests/runtime/model/fixtures/scripted.pt");
  job.spec.data.synthetic.shape = {4};
  job.spec.data.synthetic.classes = 3;
  return job;
}

TEST(BatchNormalization, IsTimedFromTwoSamplesOn) {
  Cluster cluster(NormalizingJob(), 1);
  Engine& engine = cluster.engine(0);
  ASSERT_EQ(engine.min_batch(), 2);
  const auto profile = MeasureThroughput(
      {[&](int64_t batch, int64_t micro) { return engine.TimeStep(batch, micro); },
       [] { return int64_t{0}; }},
      {.max_batch = 64, .min_batch = engine.min_batch()}, SystemClock());
  ASSERT_TRUE(profile.ok()) << profile.error().message;
  EXPECT_EQ(profile->points.front().first, 2);
}

TEST(BatchNormalization, LetsNoMicroBatchHaveOneSample) {
  TrainingJob job = NormalizingJob();
  job.spec.training.batch.policy = BatchPolicy::kAdaptive;
  job.spec.training.batch.initial = 5;
  job.spec.training.max_samples = 50;
  Cluster cluster(job, 2);
  cluster.engine(0).LimitMicroBatch(1);
  cluster.engine(1).LimitMicroBatch(1);
  cluster.RunToEnd({EqualPlan(2)});
}

TEST(BatchNormalization, OfALocalBatchOfOneIsTheUsersErrorThatSaysWhatToDo) {
  Cluster cluster(NormalizingJob(), 1);
  const auto outcomes = cluster.Run({ExactPlan({1})});
  ASSERT_FALSE(outcomes[0].ok());
  EXPECT_EQ(outcomes[0].error().code, ErrorCode::kUser);
  EXPECT_NE(outcomes[0].error().message.find("workers[].batch.min"), std::string::npos)
      << outcomes[0].error().message;
}

}  // namespace
}  // namespace longstride::testing
