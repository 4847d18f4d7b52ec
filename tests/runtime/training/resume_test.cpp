// 2N rounds undisturbed equal N rounds, a new process, and N rounds more: bit for bit.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

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

// From here on the disk takes nothing: a file stands where the folder was.
void Break(const std::string& folder) {
  std::filesystem::rename(folder, folder + ".aside");
  std::ofstream(folder) << "full";
}

void Mend(const std::string& folder) {
  std::filesystem::remove(folder);
  std::filesystem::rename(folder + ".aside", folder);
}

// A disk that breaks in one exchange of updates and is mended in another.
class FailingDisk final : public ForwardingCollective {
 public:
  FailingDisk(std::unique_ptr<Collective> to, std::string folder, int breaks = 3, int mended = 7)
      : ForwardingCollective(std::move(to)),
        folder_(std::move(folder)),
        breaks_(breaks),
        mended_(mended) {}
  Status AllReduceSum(std::span<double> data, Purpose purpose) override {
    if (purpose == Purpose::kModel) {
      ++rounds_;
      if (rounds_ == breaks_) Break(folder_);
      if (rounds_ == mended_) Mend(folder_);
    }
    return ForwardingCollective::AllReduceSum(data, purpose);
  }

 private:
  const std::string folder_;
  const int breaks_, mended_;
  int rounds_ = 0;
};

TEST(Checkpointing, ADiskThatTakesNothingForAWhileCostsCheckpointsAndNotTheRun) {
  TrainingJob job = SmallJob();
  job.spec.training.max_samples = 12 * 32;
  job.spec.checkpoint.every_rounds = 2;
  const std::string folder = FreshFolder("failing") + "/checkpoints";
  std::filesystem::create_directories(folder);
  Cluster cluster(job, 2, folder);
  const auto outcomes = cluster.Run(
      {EqualPlan(2)}, 1, [&](std::unique_ptr<Collective> c) -> std::unique_ptr<Collective> {
        if (c->rank() != 1) return c;
        return std::make_unique<FailingDisk>(std::move(c), folder);
      });
  for (const auto& outcome : outcomes) ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  // Round 4's was asked for, and given up before the disk came back.
  EXPECT_TRUE(cluster.reports(0)[3].checkpointed);
  for (const RoundReport& report : cluster.reports(0)) {
    if (!report.checkpoint) continue;
    EXPECT_NE(report.checkpoint->round, 4);
    EXPECT_EQ(report.checkpoint->samples, 32 * report.checkpoint->round);
    EXPECT_LE(report.checkpoint->round, report.round);
  }
  ASSERT_TRUE(cluster.reports(0).back().checkpoint) << "the last report waits for the last one";
  EXPECT_EQ(cluster.reports(0).back().checkpoint->round, 12);
  for (const RoundReport& report : cluster.reports(1))
    EXPECT_FALSE(report.checkpoint) << "told by who commits";
  Cluster resumed(job, 2, folder);
  ASSERT_TRUE(resumed.engine(0).Resume(folder).ok());
  EXPECT_EQ(resumed.engine(0).round(), 12);
}

TEST(Checkpointing, ADiskThatFailsWhileAGenerationBeginsCostsNoRun) {
  TrainingJob job = SmallJob();
  job.spec.training.max_samples = 12 * 32;
  const std::string folder = FreshFolder("failing-reform") + "/checkpoints";
  std::filesystem::create_directories(folder);
  Cluster cluster(job, 2, folder);
  cluster.channel(0).request = BoundaryRequest::kReform;
  cluster.channel(0).stop_at_call = 3;
  for (const auto& outcome : cluster.Run({EqualPlan(2)})) {
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    EXPECT_EQ(*outcome, Outcome::kReformed);
  }
  Break(folder);
  cluster.channel(0).stop_at_call = 0;
  const auto outcomes = cluster.Run(
      {EqualPlan(2, 2, 4)}, 2, [&](std::unique_ptr<Collective> c) -> std::unique_ptr<Collective> {
        if (c->rank() != 1) return c;
        return std::make_unique<FailingDisk>(std::move(c), folder, 0, 4);
      });
  for (const auto& outcome : outcomes) {
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    EXPECT_EQ(*outcome, Outcome::kCompleted);
  }
  Cluster resumed(job, 2, folder);
  ASSERT_TRUE(resumed.engine(0).Resume(folder).ok());
  EXPECT_EQ(resumed.engine(0).round(), 12);
}

TEST(Checkpointing, AFolderThatCannotBeIsAnErrorBeforeTheFirstRound) {
  const std::string folder = FreshFolder("no-folder") + "/checkpoints";
  std::ofstream(folder) << "in its place";
  Cluster cluster(SmallJob(), 2, folder);
  const auto outcomes = cluster.Run({EqualPlan(2)});
  ASSERT_FALSE(outcomes[0].ok());
  EXPECT_EQ(outcomes[0].error().code, ErrorCode::kUser) << outcomes[0].error().message;
  EXPECT_TRUE(cluster.reports().empty());
}

// A disk that does not take rank 1's part of the first checkpoint, of round 2.
class FullForOneFile final : public ForwardingCollective {
 public:
  FullForOneFile(std::unique_ptr<Collective> to, std::string folder)
      : ForwardingCollective(std::move(to)), folder_(std::move(folder)) {}
  Status AllReduceSum(std::span<double> data, Purpose purpose) override {
    // A folder stands where the file would be created.
    if (purpose == Purpose::kModel && !std::exchange(done_, true))
      std::filesystem::create_directories(folder_ + "/round-00000002.partial/rank-001.safetensors");
    return ForwardingCollective::AllReduceSum(data, purpose);
  }

 private:
  const std::string folder_;
  bool done_ = false;
};

TEST(Checkpointing, NothingStaysOfACheckpointThatOneRankCouldNotWrite) {
  TrainingJob job = SmallJob();
  job.spec.training.max_samples = 6 * 32;
  job.spec.checkpoint.every_rounds = 2;
  const std::string folder = FreshFolder("failing-rank");
  Cluster cluster(job, 2, folder);
  const auto outcomes = cluster.Run(
      {EqualPlan(2)}, 1, [&](std::unique_ptr<Collective> c) -> std::unique_ptr<Collective> {
        if (c->rank() != 1) return c;
        return std::make_unique<FullForOneFile>(std::move(c), folder);
      });
  for (const auto& outcome : outcomes) ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.insert(entry.path().filename());
  EXPECT_EQ(names, (std::set<std::string>{"round-00000004", "round-00000006"}));
}

// The folder is gone once all files of a checkpoint are on the disk, before it is published.
class BreaksBeforePublishing final : public ForwardingCollective {
 public:
  BreaksBeforePublishing(std::unique_ptr<Collective> to, std::string folder)
      : ForwardingCollective(std::move(to)), folder_(std::move(folder)) {}
  Status AllGather(std::span<const std::byte> mine, std::span<std::byte> all,
                   Purpose purpose) override {
    const Status status = ForwardingCollective::AllGather(mine, all, purpose);
    const bool disks = purpose == Purpose::kControl && mine.size() == 1;
    const bool written = std::ranges::all_of(all, [](std::byte b) { return b == std::byte{2}; });
    // The first time is the generation's beginning.
    if (disks && written && ++times_ == 2) Break(folder_);
    return status;
  }

 private:
  const std::string folder_;
  int times_ = 0;
};

TEST(Checkpointing, NobodyIsDoneBeforeTheLastIsPublished) {
  TrainingJob job = SmallJob();
  job.spec.training.max_samples = 2 * 32;
  const std::string folder = FreshFolder("failing-publication") + "/checkpoints";
  std::filesystem::create_directories(folder);
  Cluster cluster(job, 2, folder);
  const auto outcomes = cluster.Run(
      {EqualPlan(2)}, 1, [&](std::unique_ptr<Collective> c) -> std::unique_ptr<Collective> {
        if (c->rank() != 0) return c;
        return std::make_unique<BreaksBeforePublishing>(std::move(c), folder);
      });
  for (const auto& outcome : outcomes) ASSERT_FALSE(outcome.ok());
  EXPECT_NE(outcomes[0].error().code, ErrorCode::kLostPeer) << outcomes[0].error().message;
  EXPECT_EQ(outcomes[1].error().code, ErrorCode::kLostPeer) << outcomes[1].error().message;
  // Once the disk is back the next generation makes up for it.
  Mend(folder);
  for (const auto& outcome : cluster.Run({EqualPlan(2, 2, 3)}, 2)) {
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    EXPECT_EQ(*outcome, Outcome::kCompleted);
  }
  Cluster resumed(job, 2, folder);
  ASSERT_TRUE(resumed.engine(0).Resume(folder).ok());
  EXPECT_EQ(resumed.engine(0).round(), 2);
}

// A file that takes as long as somebody reads it, in the place of rank 0's model.
class SlowDisk final : public ForwardingCollective {
 public:
  SlowDisk(std::unique_ptr<Collective> to, std::string path)
      : ForwardingCollective(std::move(to)), path_(std::move(path)) {}
  Status AllReduceSum(std::span<double> data, Purpose purpose) override {
    if (purpose == Purpose::kModel && !std::exchange(done_, true)) {
      std::filesystem::create_directories(std::filesystem::path(path_).parent_path());
      EXPECT_EQ(mkfifo(path_.c_str(), 0600), 0);
    }
    return ForwardingCollective::AllReduceSum(data, purpose);
  }

 private:
  const std::string path_;
  bool done_ = false;
};

TEST(Checkpointing, AFileThatIsStillBeingWrittenHoldsUpNoNewGeneration) {
  TrainingJob job = SmallJob();
  job.spec.checkpoint.every_rounds = 2;
  const std::string folder = FreshFolder("slow");
  const std::string fifo = folder + "/round-00000002.partial/model.safetensors";
  Cluster cluster(job, 2, folder);
  cluster.channel(0).request = BoundaryRequest::kReform;
  cluster.channel(0).stop_at_call = 3;
  const auto outcomes = cluster.Run(
      {EqualPlan(2)}, 1, [&](std::unique_ptr<Collective> c) -> std::unique_ptr<Collective> {
        if (c->rank() != 0) return c;
        return std::make_unique<SlowDisk>(std::move(c), fifo);
      });
  for (const auto& outcome : outcomes) {
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    EXPECT_EQ(*outcome, Outcome::kReformed);
  }
  std::ifstream reader(fifo);  // lets the writer go on, so that it ends
  std::stringstream rest;
  rest << reader.rdbuf();
}

// The next generation may be the first of another coordinator.
TEST(Checkpointing, AtTheEndIsMadeUpForInTheNextGenerationWhicheverItsNumber) {
  for (const int64_t counter : {1, 2}) {
    const std::string folder = FreshFolder("lost-at-the-end");
    TrainingJob job = SmallJob();
    job.spec.evaluation.every_samples = 1 << 20;  // once, at the end
    Cluster cluster(job, 2, folder);
    const auto failed = cluster.Run({EqualPlan(2)}, 1, DiesIn(Purpose::kEvaluation, 1));
    ASSERT_FALSE(failed[0].ok());
    EXPECT_EQ(cluster.engine(0).round(), 50);
    cluster.Remove(1);
    const auto outcomes = cluster.Run({EqualPlan(1, 2, 51)}, counter);
    ASSERT_TRUE(outcomes[0].ok()) << outcomes[0].error().message;
    EXPECT_EQ(*outcomes[0], Outcome::kCompleted);
    const auto told = cluster.engine(0).TakeCheckpoint();
    ASSERT_TRUE(told) << "no report follows";
    EXPECT_EQ(told->round, 50);
    Cluster resumed(job, 1, folder);
    const Status found = resumed.engine(0).Resume(folder);
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_EQ(resumed.engine(0).round(), 50);
  }
}

TEST(Checkpointing, OfAMemberThatLeavesMayFailWithoutEndingTheRun) {
  const std::string folder = FreshFolder("failing-leave") + "/checkpoints";
  std::filesystem::create_directories(folder);
  Cluster cluster(SmallJob(), 2, folder);
  cluster.channel(1).stop_at_call = 4;
  cluster.channel(1).request = BoundaryRequest::kLeave;
  const auto outcomes = cluster.Run(
      {EqualPlan(2)}, 1, [&](std::unique_ptr<Collective> c) -> std::unique_ptr<Collective> {
        if (c->rank() != 0) return c;
        return std::make_unique<FailingDisk>(std::move(c), folder);
      });
  for (const auto& outcome : outcomes) ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(*outcomes[0], Outcome::kReformed);
  EXPECT_EQ(*outcomes[1], Outcome::kLeft);
}

}  // namespace
}  // namespace longstride::testing
