// `longstride run` as a user has it: real processes, real Gloo, loopback.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "cli/round_log.h"
#include "cli/yaml_writer.h"
#include "core/spec/parse.h"
#include "core/spec/to_json.h"
#include "tests/cli/temporary_directory.h"
#include "tests/integration/program.h"
#include "tests/integration/whole.h"

namespace longstride {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

const char* const kSmoke = LONGSTRIDE_SOURCE_DIR "/manifests/synthetic-smoke.yaml";

class RunTest : public testing::TestWithParam<int> {
 protected:
  [[nodiscard]] std::string out(const std::string& name = "run") const {
    return temporary_.path() + "/" + name;
  }
  [[nodiscard]] std::string log() const { return temporary_.path() + "/output"; }
  std::unique_ptr<Longstride> Start(std::vector<std::string> arguments) {
    return std::make_unique<Longstride>(std::move(arguments), log());
  }
  // A run that does not end by itself, once it has committed `rounds` rounds.
  std::unique_ptr<Longstride> StartLong(int64_t rounds, const std::string& name = "run",
                                        const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"run",   kSmoke,
                                          "--out", out(name),
                                          "--set", "training.maxEpochs=1000000",
                                          "--set", "checkpoint.everyRounds=5"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto run = Start(std::move(arguments));
    EXPECT_TRUE(WaitFor(
        [&] { return Rounds(name).size() >= static_cast<size_t>(rounds) || !run->running(); }));
    EXPECT_TRUE(run->running()) << run->Output();
    return run;
  }
  // When it is resumed, a run of StartLong ends by itself: 40 epochs after what it has trained.
  void LetEnd(const std::string& name = "run") const {
    const std::string path = RunDirectory(out(name)).job();
    auto job = LoadTrainingJob(path);
    ASSERT_TRUE(job.ok()) << job.error().message;
    const std::vector<RoundRecord> rounds = Rounds(name);
    ASSERT_FALSE(rounds.empty());
    job->spec.training.max_samples = rounds.back().common().cursor_end + 40 * 4000;
    ASSERT_TRUE(WriteFile(path, ToYaml(ToOrderedJson(*job))).ok());
  }
  // Of the last round.
  [[nodiscard]] GenerationId Present() const {
    const std::vector<RoundRecord> rounds = Rounds();
    return rounds.empty() ? GenerationId{} : rounds.back().common().generation;
  }
  // Waits for two workers in a generation after `before`, with nothing left to be read again.
  void AwaitBothAfter(GenerationId before, Longstride& run) const {
    const auto whole = [&] {
      const std::vector<RoundRecord> rounds = Rounds();
      if (rounds.empty()) return false;
      const RoundReport& last = rounds.back().common();
      return last.generation > before && rounds.back().reports.size() == 2 && last.holes.empty();
    };
    EXPECT_TRUE(WaitFor([&] { return whole() || !run.running(); }));
    EXPECT_TRUE(run.running()) << run.Output();
  }
  // What Ctrl-C does.
  static void Interrupt(Longstride& run) {
    run.Signal(SIGINT);
    ASSERT_EQ(run.Wait(), 7) << run.Output();
  }
  // Committed rounds so far; none while there is no file.
  [[nodiscard]] std::vector<RoundRecord> Rounds(const std::string& name = "run") const {
    auto history = ReadRoundLog(RunDirectory(out(name)).rounds());
    return history.ok() ? std::move(history.value().rounds) : std::vector<RoundRecord>{};
  }
  TemporaryDirectory temporary_;
};

TEST_P(RunTest, TheSmokeJobCompletesAndLeavesItsFiles) {
  const int workers = GetParam();
  auto run = Start({"run", kSmoke, "--workers", std::to_string(workers), "--out", out()});
  ASSERT_EQ(run->Wait(), 0) << run->Output();
  EXPECT_THAT(run->Output(), HasSubstr("sent per worker"));
  const std::vector<RoundRecord> rounds = Rounds();
  ASSERT_FALSE(rounds.empty());
  ExpectWhole(rounds);
  EXPECT_GE(rounds.back().common().cursor_end, 3 * 4000);
  EXPECT_EQ(rounds.back().reports.size(), static_cast<size_t>(workers));
  const RunDirectory directory(out());
  EXPECT_TRUE(LoadTrainingJob(directory.job()).ok());
  for (const std::string& file : {directory.events(), directory.plans(), directory.facts(),
                                  directory.WorkerLog(workers - 1)}) {
    EXPECT_TRUE(fs::exists(file)) << file;
  }
  EXPECT_FALSE(fs::is_empty(directory.checkpoints()));
  EXPECT_FALSE(fs::exists(directory.token()));
}
INSTANTIATE_TEST_SUITE_P(Workers, RunTest, testing::Values(1, 2, 3, 4));

TEST_F(RunTest, AnInterruptFinishesTheRoundAndResumingCompletes) {
  auto run = StartLong(3);
  Interrupt(*run);
  EXPECT_THAT(run->Output(), HasSubstr("--resume " + out()));
  const size_t before = Rounds().size();
  EXPECT_FALSE(fs::is_empty(RunDirectory(out()).checkpoints()));

  LetEnd();
  auto resumed = Start({"run", "--resume", out()});
  ASSERT_EQ(resumed->Wait(), 0) << resumed->Output();
  EXPECT_GT(Rounds().size(), before);
  ExpectWhole(Rounds());
}

TEST_F(RunTest, AKilledWorkerEndsARunThatAllowsNoneToBeLostAndResumingCompletes) {
  auto run = StartLong(7, "run", {"--set", "runPolicy.backoffLimit=0"});
  const std::vector<int> workers = run->Workers();
  ASSERT_EQ(workers.size(), 2u);
  ASSERT_EQ(kill(workers[1], SIGKILL), 0);
  ASSERT_EQ(run->Wait(), 5) << run->Output();
  EXPECT_THAT(run->Output(), HasSubstr("worker-1"));
  EXPECT_THAT(run->Output(), HasSubstr("signal 9"));
  EXPECT_THAT(run->Output(), HasSubstr("--resume " + out()));

  LetEnd();
  auto resumed = Start({"run", "--resume", out()});
  ASSERT_EQ(resumed->Wait(), 0) << resumed->Output();
  ExpectWhole(Rounds());
}

TEST_F(RunTest, AKilledWorkerIsReplacedWhileTheOtherGoesOn) {
  auto run = StartLong(9);
  const GenerationId before = Present();
  const std::vector<int> workers = run->Workers();
  ASSERT_EQ(workers.size(), 2u);
  ASSERT_EQ(kill(workers[1], SIGKILL), 0);
  AwaitBothAfter(before, *run);
  Interrupt(*run);
  EXPECT_THAT(run->Output(), HasSubstr("training goes on with 1 workers"));
  ExpectWhole(Rounds());
}

TEST_F(RunTest, WorkersOnUnlikeCpusHaveTheSameParametersAfterEachRound) {
  const std::string unlike_cpus = LONGSTRIDE_SOURCE_DIR "/tests/bench/unlike_cpus.sh {index}";
  auto run = StartLong(5, "run", {"--launch-prefix", unlike_cpus});
  std::set<std::string> kinds;
  for (const int pid : run->Workers()) kinds.insert(EnvironmentOf(pid, "ATEN_CPU_CAPABILITY"));
  EXPECT_THAT(kinds, testing::ElementsAre("avx2", "default"));
  ASSERT_TRUE(WaitFor([&] { return Rounds().size() >= 100 || !run->running(); }));
  Interrupt(*run);
  ExpectWhole(Rounds());  // all ranks' digests are equal, and more
  EXPECT_FALSE(Rounds().back().common().digest.empty());
}

TEST_F(RunTest, AFrozenWorkerIsGivenUpAndReplaced) {
  auto run = StartLong(9);
  const GenerationId before = Present();
  const std::vector<int> workers = run->Workers();
  ASSERT_EQ(workers.size(), 2u);
  ASSERT_EQ(kill(workers[0], SIGSTOP), 0);
  AwaitBothAfter(before, *run);
  EXPECT_FALSE(IsAlive(workers[0]));
  Interrupt(*run);
  EXPECT_THAT(run->Output(), HasSubstr("no heartbeat"));
  ExpectWhole(Rounds());
}

// Rounds of some seconds, and half a second to finish one.
TEST_F(RunTest, AWorkerThatIsToldToLeaveWithoutTheTimeForItsRoundLeavesAtOnce) {
  setenv("LONGSTRIDE_GRACE_SECONDS", "1", 1);
  auto run = StartLong(
      1, "run",
      {"--set", "training.localSteps.steps=65536", "--set", "training.batch.policy=fixed"});
  unsetenv("LONGSTRIDE_GRACE_SECONDS");
  const std::vector<int> workers = run->Workers();
  ASSERT_EQ(workers.size(), 2u);
  ASSERT_EQ(kill(workers[1], SIGTERM), 0);
  // The other completes the round, and reads the part that is missing in the next one.
  ASSERT_TRUE(WaitFor([&] { return Rounds().size() >= 3 || !run->running(); }, 240));
  ASSERT_TRUE(run->running()) << run->Output();
  run->Signal(SIGKILL);
  run->Wait();
  // It has a second to tell the coordinator why, and says so before.
  const auto said = ReadFile(RunDirectory(out()).WorkerLog(1));
  ASSERT_TRUE(said.ok()) << said.error().message;
  EXPECT_THAT(*said, HasSubstr("the round is not finished"));
  const auto events = ReadFile(RunDirectory(out()).events());
  ASSERT_TRUE(events.ok()) << events.error().message;
  EXPECT_THAT(*events, HasSubstr("\"workerLeft\""));
  EXPECT_THAT(*events, testing::Not(HasSubstr("\"workerLost\"")));
  Ledger ledger;
  int64_t lost = 0;
  for (const RoundRecord& record : Rounds()) {
    const RoundReport& common = record.common();
    ASSERT_TRUE(ledger.Record({common.committed, common.discarded, common.lost}).ok());
    lost += TotalSize(common.lost);
  }
  EXPECT_TRUE(ledger.Check().ok());
  EXPECT_GT(lost, 0);
}

TEST_F(RunTest, ScaleChangesTheNumberOfWorkersWhileTheOthersGoOn) {
  auto run = StartLong(5);
  const std::vector<int> before = run->Workers();
  const auto scale = [&](const std::string& n) {
    auto command = std::make_unique<Longstride>(std::vector<std::string>{"scale", out(), n},
                                                temporary_.path() + "/scale");
    const int code = command->Wait();
    return std::pair(code, command->Output());
  };
  const auto members = [&](size_t n) {
    return WaitFor([&] {
      const auto rounds = Rounds();
      return !run->running() || (!rounds.empty() && rounds.back().reports.size() == n);
    });
  };
  EXPECT_EQ(scale("4").first, 0);
  EXPECT_TRUE(members(4));
  ASSERT_TRUE(run->running()) << run->Output();
  EXPECT_EQ(scale("3").first, 0);
  EXPECT_TRUE(members(3));
  ASSERT_TRUE(run->running()) << run->Output();
  for (const int pid : before) EXPECT_TRUE(IsAlive(pid)) << "survivors are never restarted";
  EXPECT_EQ(scale("0").first, 2);
  Interrupt(*run);
  const auto [code, text] = scale("2");
  EXPECT_EQ(code, 2);
  EXPECT_THAT(text, HasSubstr("no run is going"));
  ExpectWhole(Rounds());
}

TEST_F(RunTest, WhenAllWorkersAreLostTheyBeginAgainFromTheLastCheckpoint) {
  auto run = StartLong(12);
  const GenerationId before = Present();
  for (const int pid : run->Workers()) ASSERT_EQ(kill(pid, SIGKILL), 0);
  AwaitBothAfter(before, *run);
  Interrupt(*run);
  ExpectWhole(Rounds());
}

TEST_F(RunTest, AKilledRunTakesItsWorkersAlongAndAReplayEqualsTheResumedRunBitForBit) {
  auto run = StartLong(8, "killed");
  const std::vector<int> workers = run->Workers();
  run->Signal(SIGKILL);
  ASSERT_EQ(run->Wait(), 128 + SIGKILL);
  for (int pid : workers) EXPECT_TRUE(WaitFor([&] { return !IsAlive(pid); }, 10)) << pid;

  LetEnd("killed");
  auto resumed = Start({"run", "--resume", out("killed")});
  ASSERT_EQ(resumed->Wait(), 0) << resumed->Output();
  auto replayed = Start({"run", "--replay", out("killed"), "--out", out("replay")});
  ASSERT_EQ(replayed->Wait(), 0) << replayed->Output();
  const std::vector<RoundRecord> a = Rounds("killed");
  const std::vector<RoundRecord> b = Rounds("replay");
  ExpectWhole(a);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].common().digest, b[i].common().digest) << "round " << i + 1;
  }
}

TEST_F(RunTest, PlanPredictsWithoutTraining) {
  auto plan = Start({"plan", kSmoke});
  ASSERT_EQ(plan->Wait(), 0) << plan->Output();
  EXPECT_THAT(plan->Output(), HasSubstr("worker-1"));
  EXPECT_THAT(plan->Output(), HasSubstr("local steps"));
}

TEST_F(RunTest, AMissingFileIsAUserErrorAndABrokenOneADataError) {
  const std::string data = temporary_.path() + "/data";
  const std::vector<std::string> arguments = {
      "--set", "data.format=idx", "--set", "data.path=" + data, "--set", "data.synthetic=null"};
  std::vector<std::string> command = {"run", kSmoke, "--out", out("missing")};
  command.insert(command.end(), arguments.begin(), arguments.end());
  auto missing = Start(command);
  EXPECT_EQ(missing->Wait(), 2) << missing->Output();
  EXPECT_THAT(missing->Output(), HasSubstr(data));

  fs::create_directory(data);
  for (const char* name : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                           "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}) {
    ASSERT_TRUE(WriteFile(data + "/" + name, "not IDX").ok());
  }
  command[3] = out("broken");
  auto broken = Start(command);
  EXPECT_EQ(broken->Wait(), 3) << broken->Output();
  EXPECT_THAT(broken->Output(), HasSubstr("ubyte"));
}

TEST_F(RunTest, FaultsOfTheCommandLineAreUserErrors) {
  struct Case {
    std::vector<std::string> arguments;
    const char* says;
  };
  for (const Case& c :
       {Case{{"rum"}, "did you mean \"run\"?"}, Case{{"run"}, "which job?"},
        Case{{"run", "/none.yaml"}, "/none.yaml"}, Case{{"run", "--resume", "/none"}, "/none"},
        Case{{"explain", "training.localSteps.polcy"}, "policy"},
        Case{{"run", "--set", "training.nothing=1", kSmoke}, "training.nothing"}}) {
    auto program = Start(c.arguments);
    EXPECT_EQ(program->Wait(), 2) << program->Output();
    EXPECT_THAT(program->Output(), HasSubstr(c.says));
  }
}

}  // namespace
}  // namespace longstride
