#include "runtime/checkpoint/checkpoint_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "core/base/log.h"
#include "core/base/random.h"
#include "tests/runtime/checkpoint/faulty_file_system.h"
#include "tests/runtime/data/files.h"

namespace longstride::checkpoint {
namespace {

using data::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;

// The tests break things on purpose; what the code says about it is checked, not printed.
class QuietLog : public testing::Environment {
 public:
  void SetUp() override { SetLogLevel(LogLevel::kError); }
};
const auto* const kQuietLog = testing::AddGlobalTestEnvironment(new QuietLog);

// A file system without faults that does not flush, for the parts of a test that no fault meets.
std::shared_ptr<FileSystem> FastFileSystem() {
  return std::make_shared<FaultyFileSystem>();
}

const std::vector<std::string> kFiles = {"model.safetensors", "rank-000.safetensors",
                                         "rank-001.safetensors"};

// Two ranks write, the barrier has passed, the lowest commits; `mark` tells commits of a round
// apart.
Status WriteRound(CheckpointDirectory& directory, int64_t round, int mark = 0) {
  for (const std::string& file : kFiles) {
    const std::vector<float> values(100, static_cast<float>(round * 1000 + mark));
    const OwnedTensor tensor =
        CopyTensor("values", TensorType::kFloat32, {100}, values.data(), 400);
    LONGSTRIDE_RETURN_IF_ERROR(directory.Write(round, file, std::vector{tensor.View()}));
  }
  return directory.Commit(round, {{"round", round}, {"mark", mark}}, kFiles);
}

// A loaded checkpoint must be all of one commit.
void ExpectWhole(const Checkpoint& checkpoint) {
  EXPECT_EQ(checkpoint.state["round"], checkpoint.round);
  EXPECT_EQ(checkpoint.files, kFiles);
  for (const std::string& file : kFiles) {
    const auto tensors = Safetensors::Open(checkpoint.path + "/" + file);
    ASSERT_TRUE(tensors.ok()) << tensors.error().message;
    const auto values = tensors->Find("values", TensorType::kFloat32, std::vector<int64_t>{100});
    ASSERT_TRUE(values.ok()) << values.error().message;
    EXPECT_EQ(data::LoadLittle<float>(values->data.data()),
              static_cast<float>(checkpoint.round * 1000 + checkpoint.state["mark"].get<int>()));
  }
}

Checkpoint Latest(const CheckpointDirectory& directory) {
  auto latest = directory.LoadLatest();
  EXPECT_TRUE(latest.ok()) << latest.error().message;
  EXPECT_TRUE(latest.ok() && latest->checkpoint.has_value());
  if (!latest.ok() || !latest->checkpoint) return {};
  ExpectWhole(*latest->checkpoint);
  return std::move(*latest->checkpoint);
}

std::vector<std::string> NamesIn(const std::string& path) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(CheckpointDirectory, EmptyFolderHasNoCheckpoint) {
  TemporaryFolder folder;
  CheckpointDirectory directory(folder.path() + "/run/checkpoints");
  EXPECT_FALSE(directory.LoadLatest()->checkpoint.has_value()) << "even before it exists";
  ASSERT_TRUE(directory.Recover().ok());
  EXPECT_FALSE(directory.LoadLatest()->checkpoint.has_value());
}

TEST(CheckpointDirectory, CommitsListsAndLoads) {
  TemporaryFolder folder;
  CheckpointDirectory directory(folder.path());
  ASSERT_TRUE(directory.Recover().ok());
  ASSERT_TRUE(WriteRound(directory, 5).ok());
  ASSERT_TRUE(WriteRound(directory, 123456789).ok());
  EXPECT_THAT(*directory.List(), ElementsAre(5, 123456789));
  EXPECT_THAT(NamesIn(folder.path()), ElementsAre("round-00000005", "round-123456789"));
  EXPECT_EQ(Latest(directory).round, 123456789);
  const auto first = directory.Load(5);
  ASSERT_TRUE(first.ok()) << first.error().message;
  ExpectWhole(*first);
}

TEST(CheckpointDirectory, KeepsTheNewest) {
  TemporaryFolder folder;
  CheckpointDirectory directory(folder.path());
  for (int64_t round : {1, 2, 3, 4}) ASSERT_TRUE(WriteRound(directory, round).ok());
  ASSERT_TRUE(directory.KeepLast(2).ok());
  EXPECT_THAT(*directory.List(), ElementsAre(3, 4));
  ASSERT_TRUE(directory.KeepLast(0).ok());
  EXPECT_THAT(*directory.List(), ElementsAre(4)) << "never none";
}

TEST(CheckpointDirectory, CommitOfAnEarlierRoundEndsTheHistoryAfterIt) {
  TemporaryFolder folder;
  CheckpointDirectory directory(folder.path());
  for (int64_t round : {10, 20, 30}) ASSERT_TRUE(WriteRound(directory, round).ok());
  ASSERT_TRUE(WriteRound(directory, 15).ok());
  EXPECT_THAT(*directory.List(), ElementsAre(10, 15));
}

TEST(CheckpointDirectory, ACommitWhoseNameWasToBeTakenIsACheckpointAsAnyOther) {
  TemporaryFolder folder;
  CheckpointDirectory directory(folder.path());
  for (int64_t round : {10, 20}) ASSERT_TRUE(WriteRound(directory, round).ok());
  std::filesystem::rename(directory.RoundPath(20), directory.RoundPath(20) + ".replaced");
  EXPECT_THAT(*directory.List(), ElementsAre(10, 20));
  EXPECT_EQ(Latest(directory).round, 20);
  ASSERT_TRUE(WriteRound(directory, 15).ok());  // which ends the history after it
  EXPECT_THAT(NamesIn(folder.path()), ElementsAre("round-00000010", "round-00000015"));
}

TEST(CheckpointDirectory, FilesOfRanksThatAreGoneDoNotEnterACommit) {
  TemporaryFolder folder;
  CheckpointDirectory directory(folder.path());
  const OwnedTensor tensor = CopyTensor("x", TensorType::kUint8, {1}, "x", 1);
  ASSERT_TRUE(directory.Write(7, "rank-009.safetensors", std::vector{tensor.View()}).ok());
  ASSERT_TRUE(WriteRound(directory, 7).ok());
  EXPECT_THAT(NamesIn(directory.RoundPath(7)),
              ElementsAre("model.safetensors", "rank-000.safetensors", "rank-001.safetensors",
                          "state.json"));
}

TEST(CheckpointDirectory, CommitWithoutAFileIsRefused) {
  TemporaryFolder folder;
  CheckpointDirectory directory(folder.path());
  ASSERT_TRUE(WriteRound(directory, 1).ok());
  const OwnedTensor tensor = CopyTensor("x", TensorType::kUint8, {1}, "x", 1);
  ASSERT_TRUE(directory.Write(2, "model.safetensors", std::vector{tensor.View()}).ok());
  const Status status = directory.Commit(2, {}, kFiles);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("rank-000.safetensors: cannot be opened"));
  EXPECT_EQ(Latest(directory).round, 1);
  ASSERT_TRUE(directory.Discard(2).ok());
  EXPECT_THAT(NamesIn(folder.path()), ElementsAre("round-00000001"));
}

// Damage: each file in turn is removed, emptied, cut, extended, or has one byte changed.
TEST(CheckpointDirectory, BrokenNewestIsPassedOverWithOneClearWarning) {
  const uint64_t seed = 21;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  SeededRandom random(seed);
  std::vector<std::string> victims = kFiles;
  victims.emplace_back("state.json");
  for (int trial = 0; trial < 100; ++trial) {
    TemporaryFolder folder;
    CheckpointDirectory directory(folder.path(), FastFileSystem());
    ASSERT_TRUE(WriteRound(directory, 1).ok());
    ASSERT_TRUE(WriteRound(directory, 2).ok());
    const std::string& name = victims[static_cast<size_t>(trial) % victims.size()];
    const std::string path = directory.RoundPath(2) + "/" + name;
    const auto size = std::filesystem::file_size(path);
    const int damage = trial / static_cast<int>(victims.size()) % 5;
    switch (damage) {
      case 0:
        std::filesystem::remove(path);
        break;
      case 1:
        std::filesystem::resize_file(path, 0);
        break;
      case 2:
        std::filesystem::resize_file(path, random.NextBelow(size - 1));
        break;
      case 3:
        std::ofstream(path, std::ios::app) << "!";
        break;
      default: {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        const auto at = static_cast<std::streamoff>(random.NextBelow(size - 1));
        file.seekg(at);
        const auto changed = static_cast<char>(file.get() ^ 1 << random.NextBelow(8));
        file.seekp(at);
        file.put(changed);
      }
    }
    const auto latest = directory.LoadLatest();
    ASSERT_TRUE(latest.ok()) << latest.error().message;
    // A changed byte of white space in state.json changes nothing.
    if (name == "state.json" && damage >= 3 && latest->checkpoint->round == 2) continue;
    ASSERT_EQ(latest->warnings.size(), 1U) << name << " damage " << damage;
    EXPECT_THAT(latest->warnings[0], HasSubstr("checkpoint of round 2 is broken"));
    EXPECT_THAT(latest->warnings[0], HasSubstr(path));
    EXPECT_EQ(latest->warnings[0].find('\n'), std::string::npos) << latest->warnings[0];
    EXPECT_EQ(latest->checkpoint->round, 1);
  }
}

TEST(CheckpointDirectory, AllBrokenIsAnErrorAndNotAFreshStart) {
  TemporaryFolder folder;
  CheckpointDirectory directory(folder.path());
  for (int64_t round : {1, 2}) {
    ASSERT_TRUE(WriteRound(directory, round).ok());
    std::filesystem::resize_file(directory.RoundPath(round) + "/model.safetensors", 3);
  }
  const auto latest = directory.LoadLatest();
  ASSERT_FALSE(latest.ok());
  EXPECT_EQ(latest.error().code, ErrorCode::kData);
  EXPECT_THAT(latest.error().message, HasSubstr("every checkpoint is broken"));
}

TEST(RealFileSystem, FullDiskIsAResourceError) {
  const auto system = RealFileSystem();
  auto file = system->Create("/dev/full");
  ASSERT_TRUE(file.ok()) << file.error().message;
  const Status status = (*file)->Write(std::vector<uint8_t>(10));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kResource);
  EXPECT_THAT(status.error().message, HasSubstr("/dev/full: cannot write"));
}

class Faults : public testing::TestWithParam<Fault> {};

// What the interrupted run did, at every point of which the fault may strike.
struct Scenario {
  const char* name;
  std::vector<int64_t> before;   // committed rounds
  int64_t round;                 // the commit that the fault meets
  std::vector<int64_t> allowed;  // rounds that may be the latest afterwards
};
const Scenario kScenarios[] = {
    {"first checkpoint", {}, 10, {10}},
    {"next checkpoint", {10}, 20, {10, 20}},
    {"same round again", {20}, 20, {20}},
    {"earlier round", {10, 30}, 20, {20, 30}},
};

TEST_P(Faults, AtAnyOperationLeaveTheLastCompleteCheckpoint) {
  int checked = 0;
  for (const Scenario& scenario : kScenarios) {
    for (int at = 0;; ++at) {
      SCOPED_TRACE(testing::Message() << scenario.name << ", operation " << at);
      TemporaryFolder folder;
      CheckpointDirectory before(folder.path(), FastFileSystem());
      for (int64_t round : scenario.before) ASSERT_TRUE(WriteRound(before, round, 1).ok());

      auto faulty = std::make_shared<FaultyFileSystem>(GetParam(), at);
      CheckpointDirectory interrupted(folder.path(), faulty);
      Status status = WriteRound(interrupted, scenario.round, 2);
      if (status.ok()) status = interrupted.KeepLast(1);
      if (GetParam() == Fault::kDiskFull && faulty->operations() > at) {
        ASSERT_FALSE(status.ok());
        EXPECT_EQ(status.error().code, ErrorCode::kResource) << status.error().message;
      }

      CheckpointDirectory after(folder.path(), FastFileSystem());
      const auto found = after.LoadLatest();  // who resumes looks before anybody has tidied up
      ASSERT_TRUE(found.ok()) << found.error().message;
      EXPECT_TRUE(found->warnings.empty()) << found->warnings.front();
      if (found->checkpoint) ExpectWhole(*found->checkpoint);
      ASSERT_TRUE(after.Recover().ok());
      const auto latest = after.LoadLatest();
      ASSERT_TRUE(latest.ok()) << latest.error().message;
      EXPECT_TRUE(latest->warnings.empty()) << latest->warnings.front();
      if (latest->checkpoint) {
        ExpectWhole(*latest->checkpoint);
        EXPECT_THAT(scenario.allowed, testing::Contains(latest->checkpoint->round));
      } else {
        EXPECT_TRUE(scenario.before.empty()) << "a committed checkpoint is lost";
      }
      ASSERT_EQ(found->checkpoint.has_value(), latest->checkpoint.has_value());
      if (found->checkpoint) {
        EXPECT_EQ(found->checkpoint->state, latest->checkpoint->state);
      }
      for (const std::string& name : NamesIn(folder.path())) {
        EXPECT_EQ(name.find('.'), std::string::npos) << name << " is left after Recover";
      }
      // The run goes on as if nothing had been.
      ASSERT_TRUE(WriteRound(after, 40, 3).ok());
      EXPECT_EQ(Latest(after).round, 40);
      ++checked;
      if (faulty->operations() <= at) {  // the fault lay beyond the end
        ASSERT_TRUE(status.ok()) << status.error().message;
        EXPECT_EQ(latest->checkpoint->round, scenario.round);
        EXPECT_EQ(latest->checkpoint->state["mark"], 2);
        break;
      }
    }
  }
  RecordProperty("points", checked);
  EXPECT_GT(checked, 80);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Faults,
                         testing::Values(Fault::kDiskFull, Fault::kKilled, Fault::kPowerLost));

TEST(CheckpointDirectory, ALaterGenerationThatOwnsTheFolderKeepsEarlierOnesOut) {
  TemporaryFolder folder;
  const std::string path = folder.path() + "/checkpoints";
  CheckpointDirectory directory(path);
  EXPECT_TRUE(directory.CheckOwner({1, 1}).ok()) << "nobody's";
  ASSERT_TRUE(directory.TakeOver({2, 3}).ok());
  EXPECT_TRUE(directory.CheckOwner({2, 3}).ok());
  EXPECT_TRUE(directory.CheckOwner({2, 4}).ok());
  for (const GenerationId earlier : {GenerationId{2, 2}, GenerationId{1, 9}}) {
    const Status refused = directory.CheckOwner(earlier);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kLostPeer);
    EXPECT_THAT(refused.error().message, HasSubstr("other workers (of generation 2.3)"));
  }
  EXPECT_FALSE(directory.TakeOver({1, 1}).ok());
  ASSERT_TRUE(directory.Disown().ok());
  ASSERT_TRUE(directory.TakeOver({1, 1}).ok()) << "a new run counts from the start";
  EXPECT_TRUE(directory.CheckOwner({1, 1}).ok());
  std::ofstream(path + "/owner.json.1.2") << "of one who was killed";
  ASSERT_TRUE(directory.Recover().ok());
  EXPECT_THAT(NamesIn(path), ElementsAre("owner.json"));
}

TEST(CheckpointDirectory, AnOwnerThatCannotBeReadIsNone) {
  TemporaryFolder folder;
  const CheckpointDirectory directory(folder.path());
  const std::string owner = folder.path() + "/owner.json";
  for (const char* text : {"", "{\"generation\": [7", "{}", "{\"generation\": [\"a\", 1]}"}) {
    std::ofstream(owner) << text;
    EXPECT_TRUE(directory.CheckOwner({1, 1}).ok()) << text;
  }
  std::filesystem::remove(owner);
  std::filesystem::create_directory(owner);
  EXPECT_TRUE(directory.CheckOwner({1, 1}).ok()) << "opened, and cannot be read";
}

// Whatever the earlier one had begun before it was replaced.
TEST(CheckpointDirectory, AnEarlierGenerationChangesNothingOnceItWasReplaced) {
  TemporaryFolder folder;
  CheckpointDirectory earlier(folder.path()), later(folder.path());
  earlier.ActFor({1, 4});
  ASSERT_TRUE(earlier.TakeOver({1, 4}).ok());
  ASSERT_TRUE(WriteRound(earlier, 1).ok());
  later.ActFor({1, 5});
  ASSERT_TRUE(later.TakeOver({1, 5}).ok());
  ASSERT_TRUE(WriteRound(later, 7).ok());
  ASSERT_TRUE(WriteRound(later, 8).ok());
  const float value = 0;
  const OwnedTensor tensor = CopyTensor("values", TensorType::kFloat32, {1}, &value, 4);
  ASSERT_TRUE(later.Write(9, kFiles[0], std::vector{tensor.View()}).ok());
  for (const Status& refused :
       {earlier.Write(9, kFiles[0], std::vector{tensor.View()}), earlier.Commit(9, {}, kFiles),
        earlier.Discard(9), earlier.KeepLast(1)}) {
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kLostPeer) << refused.error().message;
  }
  EXPECT_THAT(*later.List(), ElementsAre(1, 7, 8));
  EXPECT_TRUE(std::filesystem::exists(folder.path() + "/round-00000009.partial/" + kFiles[0]));
}

// A real process, really killed: it commits rounds 1, 2, 3, ... and reports each; after a seeded
// number of reports it is killed wherever it is.
TEST(CheckpointDirectory, KilledProcessLeavesAllThatItReported) {
  const uint64_t seed = 31;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  SeededRandom random(seed);
  for (int trial = 0; trial < 10; ++trial) {
    TemporaryFolder folder;
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      CheckpointDirectory directory(folder.path());
      for (int64_t round = 1;; ++round) {
        if (!WriteRound(directory, round).ok() || !directory.KeepLast(2).ok()) _exit(1);
        if (write(ends[1], "!", 1) != 1) _exit(1);
      }
    }
    close(ends[1]);
    const auto reports = static_cast<int64_t>(random.NextBelow(8) + 1);
    int64_t reported = 0;
    char byte;
    while (reported < reports && read(ends[0], &byte, 1) == 1) ++reported;
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int exit_status = 0;
    ASSERT_EQ(waitpid(child, &exit_status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(exit_status)) << "the child failed by itself";
    while (read(ends[0], &byte, 1) == 1) ++reported;
    close(ends[0]);

    CheckpointDirectory after(folder.path());
    ASSERT_TRUE(after.Recover().ok());
    EXPECT_GE(Latest(after).round, reported);
    EXPECT_LE(Latest(after).round, reported + 1);
  }
}

}  // namespace
}  // namespace longstride::checkpoint
