// A worker whose model is on a device computes what one in place does. "cpu" stands for a device:
// the model's tensors then are apart from the flat vectors, as on any other.
#include <gtest/gtest.h>

#include "cluster.h"

namespace longstride::testing {
namespace {

struct DeviceCase {
  const char* name;
  OptimizerSpec optimizer;
};

// Four local steps a round, an observed step 0, clipping, and optimizer state that is averaged: all
// that passes between host and device.
TrainingJob DemandingJob(const OptimizerSpec& optimizer) {
  TrainingJob job = SmallJob();
  TrainingSpec& training = job.spec.training;
  training.optimizer = optimizer;
  training.learning_rate.value = 0.01;
  training.local_steps.steps = 4;
  training.gradient_clipping = 0.5;
  training.batch.policy = BatchPolicy::kAdaptive;
  training.synchronization.inner_state = InnerStatePolicy::kAverage;
  return job;
}

OptimizerSpec Optimizer(OptimizerKind kind, double momentum, bool nesterov) {
  OptimizerSpec spec;
  spec.kind = kind;
  spec.momentum = momentum;
  spec.nesterov = nesterov;
  spec.weight_decay = 0.01;
  return spec;
}

class OnDevice : public ::testing::TestWithParam<DeviceCase> {};

TEST_P(OnDevice, AWorkerTrainsAsOneInPlace) {
  const TrainingJob job = DemandingJob(GetParam().optimizer);
  Cluster in_place(job, 2), mixed(job, std::vector<std::string>{"", "cpu"});
  in_place.RunToEnd({EqualPlan(2)});
  mixed.RunToEnd({EqualPlan(2)});

  ASSERT_EQ(mixed.engine(1).round(), in_place.engine(1).round());
  EXPECT_LT(RelativeDifference(mixed.Parameters(0), in_place.Parameters(0)), 1e-9);
  EXPECT_NEAR(mixed.reports(1).back().evaluation_loss.value(),
              in_place.reports(1).back().evaluation_loss.value(), 1e-9);
  EXPECT_EQ(mixed.reports(1).back().local_batch, in_place.reports(1).back().local_batch);
}

INSTANTIATE_TEST_SUITE_P(
    , OnDevice,
    ::testing::Values(DeviceCase{"sgd", Optimizer(OptimizerKind::kSgd, 0, false)},
                      DeviceCase{"momentum", Optimizer(OptimizerKind::kSgd, 0.9, false)},
                      DeviceCase{"nesterov", Optimizer(OptimizerKind::kSgd, 0.9, true)},
                      DeviceCase{"adagrad", Optimizer(OptimizerKind::kAdagrad, 0, false)},
                      DeviceCase{"adam", Optimizer(OptimizerKind::kAdam, 0, false)},
                      DeviceCase{"adamw", Optimizer(OptimizerKind::kAdamw, 0, false)}),
    [](const auto& info) { return std::string(info.param.name); });

// Running statistics and their integer counts pass between host and device as well.
TEST(ADevice, KeepsBatchNormalizationsBuffers) {
  TrainingJob job = SmallCnnJob();
  job.spec.model.kind = ModelKind::kResnet;
  job.spec.model.resnet.depth = 20;
  job.spec.training.max_samples = 96;
  Cluster in_place(job, 2), mixed(job, std::vector<std::string>{"", "cpu"});
  in_place.RunToEnd({EqualPlan(2)});
  mixed.RunToEnd({EqualPlan(2)});
  EXPECT_LT(RelativeDifference(mixed.Parameters(0), in_place.Parameters(0)), 1e-6);
  EXPECT_NEAR(mixed.reports(1).back().evaluation_loss.value(),
              in_place.reports(1).back().evaluation_loss.value(), 1e-6);
}

TEST(ADevice, IsTimedWithoutATrace) {
  const TrainingJob job = DemandingJob(Optimizer(OptimizerKind::kAdam, 0, false));
  Cluster timed(job, std::vector<std::string>{"cpu"}),
      untimed(job, std::vector<std::string>{"cpu"});
  ASSERT_TRUE(timed.engine(0).TimeStep(8, 4).ok());
  timed.RunToEnd({EqualPlan(1)});
  untimed.RunToEnd({EqualPlan(1)});
  EXPECT_EQ(timed.reports().back().evaluation_loss, untimed.reports().back().evaluation_loss);
}

}  // namespace
}  // namespace longstride::testing
