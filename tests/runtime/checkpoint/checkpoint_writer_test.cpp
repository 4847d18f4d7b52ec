#include "runtime/checkpoint/checkpoint_writer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

#include "tests/runtime/checkpoint/faulty_file_system.h"
#include "tests/runtime/data/files.h"

namespace longstride::checkpoint {
namespace {

using data::TemporaryFolder;

CheckpointRequest RequestOf(int64_t round, int64_t keep = 0) {
  const std::vector<double> values(50, static_cast<double>(round));
  CheckpointRequest request;
  request.round = round;
  request.files.push_back(
      {"model.safetensors", {CopyTensor("w", TensorType::kFloat64, {50}, values.data(), 400)}});
  request.commit = CommitRequest{{{"round", round}}, {"model.safetensors"}, keep, 10 * round};
  return request;
}

// Holds the first Create until it is let go, so that a test decides what is in flight.
class GatedFileSystem final : public FileSystem {
 public:
  std::latch entered{1};
  std::latch gate{1};

  [[nodiscard]] Result<std::unique_ptr<OutputFile>> Create(const std::string& path) override {
    if (!used_.exchange(true)) {
      entered.count_down();
      gate.wait();
    }
    return real_->Create(path);
  }
  [[nodiscard]] Status Rename(const std::string& from, const std::string& to) override {
    return real_->Rename(from, to);
  }
  [[nodiscard]] Status MakeDirectory(const std::string& path) override {
    return real_->MakeDirectory(path);
  }
  [[nodiscard]] Status SyncDirectory(const std::string& path) override {
    return real_->SyncDirectory(path);
  }
  [[nodiscard]] Status Remove(const std::string& path) override { return real_->Remove(path); }

 private:
  std::shared_ptr<FileSystem> real_ = RealFileSystem();
  std::atomic<bool> used_{false};
};

TEST(CheckpointWriter, WritesCommitsAndKeeps) {
  TemporaryFolder folder;
  const CheckpointDirectory directory(folder.path());
  CheckpointWriter writer(directory);
  for (int64_t round = 1; round <= 5; ++round) ASSERT_TRUE(writer.Submit(RequestOf(round, 2)).ok());
  ASSERT_TRUE(writer.Finish().ok());
  EXPECT_TRUE(writer.Idle());
  EXPECT_EQ(*directory.List(), (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(directory.LoadLatest()->checkpoint->state["round"], 5);
}

TEST(CheckpointWriter, TellsOnceOfWhatItHasCommitted) {
  TemporaryFolder folder;
  const CheckpointDirectory directory(folder.path());
  CheckpointWriter writer(directory);
  EXPECT_FALSE(writer.TakeCommitted()) << "nothing yet";
  ASSERT_TRUE(writer.Submit(RequestOf(4)).ok());
  ASSERT_TRUE(writer.Submit(RequestOf(5)).ok());
  ASSERT_TRUE(writer.Finish().ok());
  const auto committed = writer.TakeCommitted();
  ASSERT_TRUE(committed);
  EXPECT_EQ(committed->round, 5) << "the newest";
  EXPECT_EQ(committed->samples, 50);
  EXPECT_GT(committed->time, 0);
  EXPECT_FALSE(writer.TakeCommitted());
  CheckpointRequest files = RequestOf(6);
  files.commit.reset();
  ASSERT_TRUE(writer.Submit(std::move(files)).ok());
  ASSERT_TRUE(writer.Finish().ok());
  EXPECT_FALSE(writer.TakeCommitted()) << "files alone are no checkpoint";
}

TEST(CheckpointWriter, SubmitReturnsWhileTheRequestIsInFlight) {
  TemporaryFolder folder;
  const auto gated = std::make_shared<GatedFileSystem>();
  const CheckpointDirectory directory(folder.path(), gated);
  CheckpointWriter writer(directory);
  ASSERT_TRUE(writer.Submit(RequestOf(1)).ok());
  gated->entered.wait();
  EXPECT_FALSE(writer.Idle());
  EXPECT_TRUE(directory.List()->empty());
  gated->gate.count_down();
  ASSERT_TRUE(writer.Finish().ok());
  EXPECT_EQ(*directory.List(), std::vector<int64_t>{1});
}

TEST(CheckpointWriter, DestructorCarriesOutWhatWasSubmitted) {
  TemporaryFolder folder;
  const CheckpointDirectory directory(folder.path());
  {
    CheckpointWriter writer(directory);
    ASSERT_TRUE(writer.Submit(RequestOf(3)).ok());
  }
  EXPECT_EQ(*directory.List(), std::vector<int64_t>{3});
}

TEST(CheckpointWriter, FailureComesWithTheNextCallAndThenItWorksOn) {
  TemporaryFolder folder;
  const auto faulty = std::make_shared<FaultyFileSystem>(Fault::kDiskFull, 2);
  const CheckpointDirectory directory(folder.path(), faulty);
  CheckpointWriter writer(directory);
  ASSERT_TRUE(writer.Submit(RequestOf(1)).ok());
  const Status failed = writer.Submit(RequestOf(2));
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kResource);
  EXPECT_TRUE(writer.Finish().ok()) << "an error is told once";
  EXPECT_FALSE(writer.TakeCommitted());
  ASSERT_TRUE(writer.Submit(RequestOf(3)).ok());
  ASSERT_TRUE(writer.Finish().ok());
  EXPECT_EQ(*directory.List(), std::vector<int64_t>{3});
}

TEST(CheckpointWriter, NothingStaysOfWhatCannotBeCommitted) {
  TemporaryFolder folder;
  CheckpointWriter writer{CheckpointDirectory(folder.path())};
  CheckpointRequest request = RequestOf(1);
  request.commit->files.emplace_back("rank-000.safetensors");  // which nobody has written
  ASSERT_TRUE(writer.Submit(std::move(request)).ok());
  EXPECT_FALSE(writer.Finish().ok());
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(CheckpointWriter, WritesNothingToAFolderThatALaterGenerationOwns) {
  TemporaryFolder folder;
  CheckpointDirectory directory(folder.path());
  CheckpointWriter writer(directory);
  CheckpointRequest request = RequestOf(1);
  request.generation = {1, 4};
  ASSERT_TRUE(writer.Submit(request).ok());
  ASSERT_TRUE(writer.Finish().ok());
  ASSERT_TRUE(directory.TakeOver({1, 5}).ok());
  request.round = 2;
  ASSERT_TRUE(writer.Submit(request).ok());
  const Status refused = writer.Finish();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kLostPeer);
  EXPECT_EQ(*directory.List(), std::vector<int64_t>{1});
}

// Two ranks, each with its writer; the commit comes from the lowest after both are done.
TEST(CheckpointWriter, RanksWriteApartAndTheLowestCommits) {
  TemporaryFolder folder;
  const CheckpointDirectory directory(folder.path());
  CheckpointWriter first(directory);
  CheckpointWriter second(directory);
  const auto file = [](const std::string& name) {
    CheckpointRequest request;
    request.round = 8;
    request.files.push_back({name, {CopyTensor("s", TensorType::kUint8, {1}, "s", 1)}});
    return request;
  };
  ASSERT_TRUE(first.Submit(file("rank-000.safetensors")).ok());
  ASSERT_TRUE(second.Submit(file("rank-001.safetensors")).ok());
  ASSERT_TRUE(first.Finish().ok());
  ASSERT_TRUE(second.Finish().ok());
  CheckpointRequest commit;
  commit.round = 8;
  commit.commit = CommitRequest{{}, {"rank-000.safetensors", "rank-001.safetensors"}, 1};
  ASSERT_TRUE(first.Submit(std::move(commit)).ok());
  ASSERT_TRUE(first.Finish().ok());
  EXPECT_EQ(directory.Load(8)->files.size(), 2U);
}

}  // namespace
}  // namespace longstride::checkpoint
