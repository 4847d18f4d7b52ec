// Checkpoints on disks that are slow, full or gone, and workers that leave meanwhile.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "cluster.h"
#include "runtime/checkpoint/checkpoint_directory.h"

namespace longstride::testing {
namespace {

// In one step: were nothing there for a moment, a writer would make the folder anew.
void ChangePlaces(const std::string& one, const std::string& other) {
  ASSERT_EQ(renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE), 0)
      << std::strerror(errno);
}

// From here on the disk takes nothing: a file stands where the folder was.
void Break(const std::string& folder) {
  const std::string aside = folder + ".aside";
  std::ofstream(aside) << "full";
  ChangePlaces(folder, aside);
}

void Mend(const std::string& folder) {
  const std::string aside = folder + ".aside";
  ChangePlaces(folder, aside);
  std::filesystem::remove(aside);
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
  // Taken over with the first checkpoint, as it could not be before.
  EXPECT_FALSE(checkpoint::CheckpointDirectory(folder).CheckOwner({1, 1}).ok());
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
  EXPECT_EQ(names, (std::set<std::string>{"owner.json", "round-00000004", "round-00000006"}));
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

// Other workers take over the folder in an exchange of updates, as they do when these were given up
// while nobody could reach them, and leave a checkpoint that is ahead.
class TakenOver final : public ForwardingCollective {
 public:
  TakenOver(std::unique_ptr<Collective> to, std::string folder)
      : ForwardingCollective(std::move(to)), folder_(std::move(folder)) {}
  Status AllReduceSum(std::span<double> data, Purpose purpose) override {
    if (purpose == Purpose::kModel && ++rounds_ == 5) {
      EXPECT_TRUE(checkpoint::CheckpointDirectory(folder_).TakeOver({2, 1}).ok());
      std::filesystem::create_directories(folder_ + "/round-00000100");
    }
    return ForwardingCollective::AllReduceSum(data, purpose);
  }

 private:
  const std::string folder_;
  int rounds_ = 0;
};

TEST(Checkpointing, WorkersThatWereReplacedLeaveTheFolderAlone) {
  TrainingJob job = SmallJob();
  job.spec.training.max_samples = 12 * 32;
  job.spec.checkpoint.every_rounds = 2;
  job.spec.checkpoint.keep = 1;
  const std::string folder = FreshFolder("taken-over");
  Cluster cluster(job, 2, folder);
  const auto outcomes = cluster.Run(
      {EqualPlan(2)}, 1, [&](std::unique_ptr<Collective> c) -> std::unique_ptr<Collective> {
        if (c->rank() != 1) return c;
        return std::make_unique<TakenOver>(std::move(c), folder);
      });
  for (const auto& outcome : outcomes) {
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().code, ErrorCode::kLostPeer) << outcome.error().message;
  }
  const auto rounds = checkpoint::CheckpointDirectory(folder).List();
  ASSERT_TRUE(rounds.ok());
  EXPECT_EQ(rounds->back(), 100) << "not removed as a later round than theirs, nor as too many";
  EXPECT_LE(rounds->front(), 4) << "from before";
  EXPECT_EQ(rounds->size(), 2);
}

TEST(Checkpointing, AGenerationThatIsReplacedBeforeItBeginsDoesNotTakeTheFolderBack) {
  TrainingJob job = SmallJob();
  job.spec.training.max_samples = 12 * 32;
  const std::string folder = FreshFolder("replaced-early");
  Cluster cluster(job, 2, folder);
  cluster.channel(0).request = BoundaryRequest::kReform;
  cluster.channel(0).stop_at_call = 3;
  for (const auto& outcome : cluster.Run({EqualPlan(2)}, 4)) {
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  }
  checkpoint::CheckpointDirectory directory(folder);
  ASSERT_TRUE(directory.TakeOver({1, 6}).ok());
  cluster.channel(0).stop_at_call = 0;
  const auto outcomes = cluster.Run({EqualPlan(2, 2, 4)}, 5);
  ASSERT_FALSE(outcomes[0].ok());
  EXPECT_EQ(outcomes[0].error().code, ErrorCode::kLostPeer) << outcomes[0].error().message;
  EXPECT_FALSE(directory.CheckOwner({1, 5}).ok());
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
