// The coordinator's process is killed and another takes the job over, under real workers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "cli/round_log.h"
#include "core/base/clock.h"
#include "core/schedule/ledger.h"
#include "tests/cli/temporary_directory.h"
#include "tests/integration/program.h"

namespace longstride {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class TakeoverTest : public testing::Test {
 protected:
  static constexpr int kWorkers = 3;

  void SetUp() override {
    std::ofstream(path("token")) << "secret";
    std::ofstream(path("job.yaml")) << R"(apiVersion: longstride.dev/v1alpha1
kind: TrainingJob
metadata: {name: takeover}
spec:
  replicas: 3
  workers: [{name: worker, minReplicas: 1, maxReplicas: 3}]
  model:
    name: mlp
    mlp: {hidden: [64]}
  data:
    format: synthetic
    synthetic: {task: classification, samples: 4000, evaluationSamples: 500, shape: [32], classes: 10}
  training:
    maxEpochs: 100000
    learningRate: {value: 0.01}
    localSteps: {policy: constant, steps: 64}
    batch: {policy: fixed, initial: 96}
)";
    StartCoordinator();
    for (int i = 0; i < kWorkers; ++i) StartWorker(i);
  }
  void TearDown() override {
    for (const auto& [pid, what] : running_) launcher_->Signal(pid, SIGKILL);
    WaitFor([&] { return Reap(), running_.empty(); });
    if (HasFailure()) {
      for (const auto& file : fs::directory_iterator(temporary_.path())) {
        if (file.path().extension() == ".log")
          std::printf("%s:\n%s\n", file.path().c_str(), TailOf(file.path().string(), 2000).c_str());
      }
    }
  }

  [[nodiscard]] std::string path(const std::string& name) const {
    return temporary_.path() + "/" + name;
  }
  void StartCoordinator() {
    fs::remove(path("endpoint"));
    std::vector<std::string> arguments = {path("job.yaml"), temporary_.path(),
                                          std::to_string(port_), std::to_string(++term_)};
    if (limit_seconds_) arguments.push_back(std::to_string(*limit_seconds_));
    const auto pid = launcher_->Start(
        {LONGSTRIDE_COORDINATOR_HOST, std::move(arguments), {}, path("coordinator.log")});
    ASSERT_TRUE(pid.ok()) << pid.error().message;
    coordinator_ = *pid;
    running_[coordinator_] = "coordinator";
    ASSERT_TRUE(WaitFor([&] { return fs::exists(path("endpoint")); }));
    std::ifstream(path("endpoint")) >> port_ >> url_;
  }
  void StartWorker(int index) {
    const std::string number = std::to_string(index);
    const auto pid = launcher_->Start(
        {LONGSTRIDE_WORKER_PROGRAM,
         {"--coordinator", url_, "--token-file", path("token"), "--group", "worker", "--index",
          number, "--out", temporary_.path(), "--threads", "1"},
         {{"OMP_NUM_THREADS", "1"}, {"MKL_NUM_THREADS", "1"}},
         path("worker-" + number + ".log")});
    ASSERT_TRUE(pid.ok()) << pid.error().message;
    workers_.push_back(*pid);
    running_[*pid] = "worker " + number;
  }
  void Kill(int pid) {
    launcher_->Signal(pid, SIGKILL);
    ASSERT_TRUE(WaitFor([&] { return Reap(), !running_.contains(pid); }));
  }
  void Reap() {
    while (const auto exit = launcher_->Reap()) {
      running_.erase(exit->pid);
      exit_codes_[exit->pid] = exit->exit_code;
    }
  }
  [[nodiscard]] std::vector<RoundRecord> Rounds() const {
    auto history = ReadRoundLog(path("rounds.jsonl"));
    return history.ok() ? std::move(history->rounds) : std::vector<RoundRecord>{};
  }
  bool AwaitRounds(size_t count) {
    return WaitFor([&] { return Rounds().size() >= count; });
  }
  // The job ends at a round boundary, and every round from the first is on record once.
  void StopAndCheck() {
    launcher_->Signal(coordinator_, SIGTERM);
    ASSERT_TRUE(WaitFor([&] { return Reap(), running_.empty(); }));
    EXPECT_EQ(exit_codes_[coordinator_], 0);
    Ledger ledger;
    int64_t round = 0;
    for (const RoundRecord& record : Rounds()) {
      const RoundReport& common = record.common();
      ASSERT_EQ(common.round, ++round);
      const Status booked = ledger.Record({common.committed, common.discarded, common.lost});
      ASSERT_TRUE(booked.ok()) << booked.error().message;
      ASSERT_EQ(common.cursor_end, ledger.cursor());
    }
    EXPECT_TRUE(ledger.Check().ok());
    const auto history = ReadRoundLog(path("rounds.jsonl"));
    EXPECT_EQ(history->voided, 0) << "nothing is put on record twice";
  }
  [[nodiscard]] std::string Events() const {
    std::ifstream in(path("events.jsonl"));
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::optional<int> limit_seconds_;  // of silence after which a worker is dead; absent: as usual
  TemporaryDirectory temporary_;
  std::unique_ptr<ProcessLauncher> launcher_ = MakeForkLauncher();
  int coordinator_ = 0;
  int port_ = 0;
  int term_ = 0;
  std::string url_;
  std::vector<int> workers_;
  std::map<int, std::string> running_;
  std::map<int, int> exit_codes_;
};

double Now() {
  return SystemClock().UnixSeconds();
}

// With coordinators that do not take a worker for dead because the machine is busy.
class PatientTakeoverTest : public TakeoverTest {
 protected:
  PatientTakeoverTest() { limit_seconds_ = 10; }
};

// Longer than any limit of silence, also with the two seconds that a new coordinator adds.
double DeadSeconds() {
  const char* seconds = std::getenv("LONGSTRIDE_TEST_DEAD_SECONDS");
  return seconds != nullptr ? std::atof(seconds) : 13;
}

TEST_F(PatientTakeoverTest, TrainingGoesOnWhileTheCoordinatorIsDeadAndNoRoundIsMissing) {
  ASSERT_TRUE(AwaitRounds(3));
  Kill(coordinator_);
  const double died = Now();
  const size_t before = Rounds().size();
  WaitFor([] { return false; }, DeadSeconds());
  const double back = Now();
  StartCoordinator();
  ASSERT_TRUE(AwaitRounds(before + 20));
  StopAndCheck();
  int while_dead = 0;
  for (const RoundRecord& record : Rounds()) {
    const RoundReport& common = record.common();
    while_dead += common.first_step_time > died && common.last_step_time < back;
    EXPECT_EQ(common.generation, (GenerationId{1, 1})) << "nobody noticed";
  }
  EXPECT_GT(while_dead, 5);
  std::printf("%d rounds while the coordinator was dead for %.0f s\n", while_dead, back - died);
  EXPECT_THAT(Events(), HasSubstr("\"registered\""));
  EXPECT_THAT(Events(), testing::Not(HasSubstr("\"workerLost\"")));
  for (const int worker : workers_) EXPECT_EQ(exit_codes_[worker], 7);
}

TEST_F(TakeoverTest, AWorkerThatDiesWhileTheCoordinatorIsDeadIsMissedByTheNextOne) {
  ASSERT_TRUE(AwaitRounds(3));
  Kill(coordinator_);
  Kill(workers_[1]);
  const size_t before = Rounds().size();
  StartCoordinator();
  ASSERT_TRUE(AwaitRounds(before + 10));
  StopAndCheck();
  const GenerationId last = Rounds().back().common().generation;
  EXPECT_EQ(last.term, 2);
  EXPECT_EQ(Rounds().back().reports.size(), 2u);
}

TEST_F(TakeoverTest, ACoordinatorThatDiesAgainAndAgainLosesNothing) {
  for (size_t rounds = 2; rounds < 14; rounds += 2) {
    ASSERT_TRUE(AwaitRounds(rounds));
    Kill(coordinator_);
    StartCoordinator();
  }
  ASSERT_TRUE(AwaitRounds(Rounds().size() + 5));
  StopAndCheck();
}

}  // namespace
}  // namespace longstride
