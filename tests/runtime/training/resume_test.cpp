// 2N rounds undisturbed equal N rounds, a new process, and N rounds more: bit for bit.
#include <gtest/gtest.h>

#include <filesystem>

#include "cluster.h"

namespace longstride::testing {
namespace {

struct ResumeCase {
  const char* name;
  OptimizerKind optimizer;
  double momentum;
  OuterOptimizerKind outer;
  InnerStatePolicy inner_state;
  Precision precision;
};

TrainingJob JobOf(const ResumeCase& c) {
  TrainingJob job = SmallJob();
  TrainingSpec& training = job.spec.training;
  training.precision = c.precision;
  training.optimizer.kind = c.optimizer;
  training.optimizer.momentum = c.momentum;
  training.optimizer.weight_decay = 0.01;
  training.learning_rate.value = c.optimizer == OptimizerKind::kSgd ? 0.05 : 0.01;
  training.learning_rate.schedule = ScheduleKind::kCosine;
  training.learning_rate.warmup_samples = 200;
  training.learning_rate.decay_samples = 6000;
  training.learning_rate.coupling = CouplingKind::kAdascale;
  training.local_steps.steps = 3;
  training.batch.policy = BatchPolicy::kAdaptive;
  training.synchronization.outer.kind = c.outer;
  training.synchronization.inner_state = c.inner_state;
  job.spec.limits.max_global_batch = 128;
  job.spec.evaluation.every_samples = 700;
  job.spec.checkpoint.every_rounds = 2;
  job.spec.checkpoint.keep = 2;
  return job;
}

class Resume : public ::testing::TestWithParam<ResumeCase> {};

void ExpectResumedEqualsUndisturbed(const TrainingJob& job, int workers, const std::string& name) {
  const std::vector<Plan> plans = {EqualPlan(workers)};
  Cluster undisturbed(job, workers);
  undisturbed.RunToEnd(plans);
  ASSERT_GT(undisturbed.engine(0).round(), 10);

  // A stop between two periodic checkpoints.
  const std::string folder = FreshFolder("resume-" + name);
  {
    Cluster first(job, workers, folder);
    first.channel(workers - 1).stop_at_call = 5;
    for (const auto& outcome : first.Run(plans)) {
      ASSERT_TRUE(outcome.ok()) << outcome.error().message;
      EXPECT_EQ(*outcome, Outcome::kStopped);
    }
    EXPECT_EQ(first.engine(0).round(), 5);
  }
  Cluster second(job, workers, folder);
  for (int r = 0; r < workers; ++r) {
    const Status status = second.engine(r).Resume(folder);
    ASSERT_TRUE(status.ok()) << status.error().message;
  }
  second.RunToEnd(plans);
  EXPECT_EQ(second.reports()[0].round, 6);
  EXPECT_EQ(second.engine(0).round(), undisturbed.engine(0).round());
  EXPECT_EQ(second.Parameters(), undisturbed.Parameters());
  for (const RoundReport& report : second.reports()) {
    const RoundReport& other = undisturbed.reports()[static_cast<size_t>(report.round - 1)];
    EXPECT_EQ(report.digest, other.digest) << report.round;
    EXPECT_EQ(report.next_global_batch, other.next_global_batch) << report.round;
    EXPECT_EQ(report.evaluation_loss, other.evaluation_loss) << report.round;
  }
  // The last two checkpoints are kept, the last of them of the end.
  int kept = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    kept += entry.is_directory();
  EXPECT_EQ(kept, 2);
}

TEST_P(Resume, ContinuesBitForBit) {
  TrainingJob job = JobOf(GetParam());
  job.spec.training.max_samples = 5000;
  ExpectResumedEqualsUndisturbed(job, 3, GetParam().name);
}

constexpr auto kAverage = OuterOptimizerKind::kAverage;
constexpr auto kKeep = InnerStatePolicy::kKeep;
constexpr auto kDouble = Precision::kFloat64;

INSTANTIATE_TEST_SUITE_P(
    , Resume,
    ::testing::Values(
        ResumeCase{"sgd", OptimizerKind::kSgd, 0, kAverage, kKeep, kDouble},
        ResumeCase{"momentum", OptimizerKind::kSgd, 0.9, kAverage, kKeep, Precision::kFloat32},
        ResumeCase{"adagrad", OptimizerKind::kAdagrad, 0, kAverage, kKeep, kDouble},
        ResumeCase{"adam", OptimizerKind::kAdam, 0, kAverage, kKeep, kDouble},
        ResumeCase{"adamw", OptimizerKind::kAdamw, 0, kAverage, kKeep, Precision::kFloat32},
        ResumeCase{"diloco", OptimizerKind::kAdamw, 0, OuterOptimizerKind::kNesterov, kKeep,
                   kDouble},
        ResumeCase{"slowmo", OptimizerKind::kSgd, 0.9, OuterOptimizerKind::kSlowmo,
                   InnerStatePolicy::kReset, kDouble},
        ResumeCase{"averaged_state", OptimizerKind::kAdam, 0, kAverage, InnerStatePolicy::kAverage,
                   kDouble}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Resuming, ContinuesBitForBitWithBatchNormalization) {
  TrainingJob job = SmallCnnJob();
  job.spec.model.kind = ModelKind::kResnet;
  job.spec.model.resnet.depth = 8;
  job.spec.data.synthetic.shape = {3, 8, 8};
  job.spec.training.precision = Precision::kFloat32;
  job.spec.training.optimizer.momentum = 0.9;
  job.spec.training.local_steps.steps = 2;
  job.spec.training.max_samples = 12 * 64;
  job.spec.checkpoint.every_rounds = 3;
  ExpectResumedEqualsUndisturbed(job, 2, "resnet");
}

TEST(Resuming, ContinuesBitForBitWithDropout) {
  TrainingJob job = SmallJob();
  job.spec.model.kind = ModelKind::kGpt;
  job.spec.model.gpt = {.layers = 1, .heads = 2, .width = 8, .dropout = 0.3};
  job.spec.data.synthetic.task = SyntheticTask::kTokens;
  job.spec.data.synthetic.classes = 16;
  job.spec.data.context = 8;
  job.spec.training.precision = Precision::kFloat32;
  job.spec.training.optimizer.kind = OptimizerKind::kAdamw;
  job.spec.training.learning_rate.value = 1e-3;
  job.spec.training.local_steps.steps = 2;
  job.spec.training.max_samples = 12 * 64;
  job.spec.checkpoint.every_rounds = 3;
  // One worker: in processes of their own, as in a real run, workers do not share LibTorch's
  // generator.
  ExpectResumedEqualsUndisturbed(job, 1, "gpt");
}

TEST(Resuming, WithoutACheckpointSaysSo) {
  Cluster cluster(SmallJob(), 1);
  const Status status = cluster.engine(0).Resume(FreshFolder("resume-nothing"));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kData);
}

TEST(Resuming, OfAFinishedRunIsFinished) {
  TrainingJob job = SmallJob();
  const std::string folder = FreshFolder("resume-finished");
  Cluster first(job, 2, folder);
  first.RunToEnd({EqualPlan(2)});
  Cluster second(job, 2, folder);
  for (int r = 0; r < 2; ++r) ASSERT_TRUE(second.engine(r).Resume(folder).ok());
  second.RunToEnd({EqualPlan(2)});
  EXPECT_TRUE(second.reports().empty());
  EXPECT_EQ(second.Parameters(), first.Parameters());
}

TEST(Resuming, WithMoreWorkersStartsTheNewOnesInnerStateAtZero) {
  TrainingJob job = SmallJob();
  job.spec.training.optimizer.momentum = 0.9;
  job.spec.training.max_samples = 640;
  const std::string folder = FreshFolder("resume-more");
  Cluster first(job, 2, folder);
  first.RunToEnd({EqualPlan(2)});
  job.spec.training.max_samples = 1280;
  Cluster second(job, 3, folder);
  for (int r = 0; r < 3; ++r) ASSERT_TRUE(second.engine(r).Resume(folder).ok());
  second.RunToEnd({EqualPlan(2), EqualPlan(3, 2, 21)});
  EXPECT_EQ(second.engine(0).round(), 40);
  EXPECT_EQ(second.Parameters(0), second.Parameters(2));
}

TEST(Resuming, RefusesACheckpointOfAnotherModel) {
  TrainingJob job = SmallJob();
  const std::string folder = FreshFolder("resume-other");
  Cluster first(job, 1, folder);
  first.RunToEnd({EqualPlan(1)});
  job.spec.model.mlp.hidden = {17};
  Cluster second(job, 1);
  ASSERT_TRUE(second.engine(0).Resume(folder).ok());
  const auto outcomes = second.Run({EqualPlan(1)});
  ASSERT_FALSE(outcomes[0].ok());
  EXPECT_EQ(outcomes[0].error().code, ErrorCode::kData);
}

// One of them was written by a group that was given up, and could not be reached.
TEST(Resuming, OfWorkersWithUnlikeCheckpointsOfOneRoundAllFollowOne) {
  TrainingJob job = SmallJob();
  job.spec.training.optimizer.momentum = 0.9;
  job.spec.training.max_samples = 6 * 32;
  const std::string folders[] = {FreshFolder("lineage-a"), FreshFolder("lineage-b")};
  for (const std::string& folder : folders) {
    job.spec.training.learning_rate.value *= 2;
    Cluster(job, 2, folder).RunToEnd({EqualPlan(2)});
  }
  job.spec.training.max_samples = 12 * 32;
  Cluster resumed(job, 2);
  for (int r = 0; r < 2; ++r) ASSERT_TRUE(resumed.engine(r).Resume(folders[r]).ok());
  resumed.RunToEnd({EqualPlan(2)});
  EXPECT_EQ(resumed.Parameters(0), resumed.Parameters(1));
  EXPECT_EQ(resumed.reports(0).back().digest, resumed.reports(1).back().digest);
  Cluster one(job, 2);
  for (int r = 0; r < 2; ++r) ASSERT_TRUE(one.engine(r).Resume(folders[0]).ok());
  one.RunToEnd({EqualPlan(2)});
  EXPECT_EQ(resumed.reports(0).size(), one.reports(0).size());
}

}  // namespace
}  // namespace longstride::testing
