#include "cli/run_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include "cli/launcher.h"
#include "tests/cli/temporary_directory.h"

namespace longstride {
namespace {

using testing::HasSubstr;

TEST(RunLock, ASecondRunInTheSameDirectoryIsRefusedWhileTheFirstGoes) {
  TemporaryDirectory temporary;
  const RunDirectory run(temporary.path());
  auto first = RunLock::Take(run);
  ASSERT_TRUE(first.ok()) << first.error().message;
  const auto second = RunLock::Take(run);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kUser);
  EXPECT_THAT(second.error().message, HasSubstr("a run is still going in " + run.path()));
  first->reset();
  EXPECT_TRUE(RunLock::Take(run).ok());
}

TEST(RunLock, AWorkerThatOutlivesTheRunDoesNotHoldIt) {
  TemporaryDirectory temporary;
  const RunDirectory run(temporary.path());
  auto lock = RunLock::Take(run);
  ASSERT_TRUE(lock.ok());
  const auto launcher = MakeForkLauncher();
  const auto worker =
      launcher->Start({"/bin/sh", {"-c", "exec sleep 600"}, {}, temporary.path() + "/log"});
  ASSERT_TRUE(worker.ok()) << worker.error().message;
  lock->reset();
  EXPECT_TRUE(RunLock::Take(run).ok());
  launcher->Signal(*worker, SIGKILL);
  while (!launcher->Reap()) poll(nullptr, 0, 1);
}

TEST(RunLock, ADirectoryThatCannotBeWrittenIsNamed) {
  EXPECT_THAT(RunLock::Take(RunDirectory("/nowhere")).error().message,
              HasSubstr("cannot write /nowhere/lock"));
}

}  // namespace
}  // namespace longstride
