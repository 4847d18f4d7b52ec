// The whole of `longstride run` but for the workers: a real coordinator, and processes that are
// only pretended.
#include "cli/local_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <deque>
#include <filesystem>
#include <map>

#include "tests/cli/temporary_directory.h"

namespace longstride {
namespace {

using testing::Contains;
using testing::HasSubstr;

// Children that end when the test, or a signal, says so.
class FakeLauncher final : public ProcessLauncher {
 public:
  Result<int> Start(const ProcessSpec& spec) override {
    if (refuse) return UserError("no such program");
    specs.push_back(spec);
    return static_cast<int>(specs.size());
  }
  std::optional<ProcessExit> Reap() override {
    if (exits.empty()) return std::nullopt;
    const ProcessExit exit = exits.front();
    exits.pop_front();
    return exit;
  }
  void Signal(int pid, int signal) override {
    signals[pid] = signal;
    exits.push_back({pid, 128 + signal, signal});
  }

  bool refuse = false;
  std::vector<ProcessSpec> specs;
  std::deque<ProcessExit> exits;
  std::map<int, int> signals;
};

class LocalRunTest : public testing::Test {
 protected:
  LocalRunTest() {
    options_.directory = RunDirectory(temporary_.path() + "/run");
    options_.job.metadata.name = "test";
    options_.job.spec.replicas = 2;
    options_.worker_program = "/worker";
    hooks_.on_event = [this](const Event& event) -> Status {
      events_.push_back(event);
      return Status();
    };
  }
  Result<LocalRunEnd> Run() {
    EXPECT_TRUE(options_.directory.Create().ok());
    return RunLocally(options_, hooks_, launcher_, clock_);
  }

  TemporaryDirectory temporary_;
  SystemClock clock_;
  FakeLauncher launcher_;
  LocalRunOptions options_;
  LocalRunHooks hooks_;
  std::vector<Event> events_;
};

TEST_F(LocalRunTest, AWorkerThatFailsBeforeItJoinsEndsTheJobWithItsCode) {
  hooks_.on_tick = [this] {
    if (launcher_.signals.empty() && launcher_.exits.empty()) {
      launcher_.exits.push_back({2, 3, 0});
      launcher_.exits.push_back({1, 7, 0});
    }
  };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result.value().end.outcome, JobOutcome::kFailed);
  EXPECT_EQ(result.value().end.code, ErrorCode::kData);
  ASSERT_TRUE(result.value().culprit.has_value());
  EXPECT_EQ(result.value().culprit->Name(), "worker-1");
}

TEST_F(LocalRunTest, WorkersAreToldWhereAndWhoTheyAre) {
  hooks_.interrupts = [] { return 2; };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.error().message;
  ASSERT_EQ(launcher_.specs.size(), 2u);
  const ProcessSpec& spec = launcher_.specs[1];
  EXPECT_EQ(spec.program, "/worker");
  EXPECT_THAT(spec.arguments, Contains(HasSubstr("http://127.0.0.1:")));
  EXPECT_THAT(spec.arguments, Contains("worker"));
  EXPECT_THAT(spec.output_path, HasSubstr("worker-1.log"));
  EXPECT_THAT(spec.environment,
              Contains(std::pair<std::string, std::string>("OMP_NUM_THREADS", "1")));
}

TEST_F(LocalRunTest, TwoInterruptsKillTheWorkersAtOnce) {
  hooks_.interrupts = [] { return 2; };
  const auto result = Run();
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.value().end.outcome, JobOutcome::kStopped);
  EXPECT_EQ(launcher_.signals[1], SIGKILL);
  EXPECT_EQ(launcher_.signals[2], SIGKILL);
}

TEST_F(LocalRunTest, TheTokenIsGoneAfterwards) {
  hooks_.interrupts = [this] {
    EXPECT_TRUE(std::filesystem::exists(options_.directory.token()));
    return 2;
  };
  ASSERT_TRUE(Run().ok());
  EXPECT_FALSE(std::filesystem::exists(options_.directory.token()));
}

TEST_F(LocalRunTest, AProgramThatCannotBeStartedIsAnError) {
  launcher_.refuse = true;
  const auto result = Run();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kUser);
}

TEST(FindWorkerProgram, ANamedProgramMustExist) {
  setenv("LONGSTRIDE_WORKER", "/does/not/exist", 1);
  const auto missing = FindWorkerProgram();
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("/does/not/exist"));
  setenv("LONGSTRIDE_WORKER", "/bin/sh", 1);
  const auto found = FindWorkerProgram();
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found.value(), "/bin/sh");
  unsetenv("LONGSTRIDE_WORKER");
}

}  // namespace
}  // namespace longstride
