#include "cli/launcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include "cli/run_directory.h"
#include "tests/cli/temporary_directory.h"

namespace longstride {
namespace {

using testing::HasSubstr;

class LauncherTest : public testing::Test {
 protected:
  Result<int> Shell(const std::string& script) {
    return launcher_->Start({"/bin/sh", {"-c", script}, {{"COLOUR", "blue"}}, log()});
  }
  // Waits until one has ended.
  ProcessExit Reap() {
    for (;;) {
      if (auto exit = launcher_->Reap()) return *exit;
      poll(nullptr, 0, 1);
    }
  }
  std::string log() const { return directory_.path() + "/log"; }

  TemporaryDirectory directory_;
  std::unique_ptr<ProcessLauncher> launcher_ = MakeForkLauncher();
};

TEST_F(LauncherTest, ReportsExitCodesAndKeepsTheOutput) {
  const auto pid = Shell("echo out $COLOUR; echo err >&2; exit 3");
  ASSERT_TRUE(pid.ok()) << pid.error().message;
  const ProcessExit exit = Reap();
  EXPECT_EQ(exit.pid, pid.value());
  EXPECT_EQ(exit.exit_code, 3);
  EXPECT_EQ(exit.Text(), "exited with code 3");
  EXPECT_EQ(TailOf(log(), 10), "out blue\nerr");
  EXPECT_FALSE(launcher_->Reap().has_value());
}

TEST_F(LauncherTest, ReportsTheSignalThatEndedAChild) {
  const auto pid = Shell("read never");  // standard input is empty, so this alone would end
  ASSERT_TRUE(pid.ok());
  EXPECT_EQ(Reap().exit_code, 1);
  const auto victim = Shell("kill -9 $$");
  ASSERT_TRUE(victim.ok());
  const ProcessExit exit = Reap();
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_EQ(exit.exit_code, 137);
  EXPECT_THAT(exit.Text(), HasSubstr("signal 9 (Killed)"));
}

TEST_F(LauncherTest, PassesSignalsToAChildThatBlockedThemHere) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigset_t before;
  sigprocmask(SIG_BLOCK, &set, &before);
  const auto pid = Shell("while :; do :; done");
  ASSERT_TRUE(pid.ok());
  launcher_->Signal(pid.value(), SIGTERM);
  EXPECT_EQ(Reap().signal, SIGTERM);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  launcher_->Signal(pid.value(), SIGTERM);  // gone: nothing happens
}

TEST_F(LauncherTest, NothingOfAChildsGroupOutlivesIt) {
  for (const int signal : {SIGKILL, SIGTERM}) {
    const auto pid = Shell("sleep 1000 & echo $! >" + log() + ".pid; wait");
    ASSERT_TRUE(pid.ok());
    while (TailOf(log() + ".pid", 1).empty()) poll(nullptr, 0, 1);
    const int left = std::stoi(TailOf(log() + ".pid", 1));
    launcher_->Signal(pid.value(), signal);
    EXPECT_EQ(Reap().signal, signal);
    // Dead once it is nobody's, or init's zombie.
    const std::string state = "/proc/" + std::to_string(left) + "/stat";
    while (kill(left, 0) == 0 && TailOf(state, 1).find(") Z ") == std::string::npos)
      poll(nullptr, 0, 1);
    std::remove((log() + ".pid").c_str());
  }
}

TEST_F(LauncherTest, AProgramThatIsNotThereIsAUserError) {
  const auto pid = launcher_->Start({"/does/not/exist", {}, {}, log()});
  ASSERT_FALSE(pid.ok());
  EXPECT_EQ(pid.error().code, ErrorCode::kUser);
  EXPECT_THAT(pid.error().message, HasSubstr("/does/not/exist"));
}

}  // namespace
}  // namespace longstride
