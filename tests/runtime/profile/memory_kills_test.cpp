#include "runtime/profile/memory_kills.h"

#include <gtest/gtest.h>

#include "tests/runtime/profile/machine_fixture.h"

namespace longstride {
namespace {

class MemoryKillWatchTest : public MachineTest {
 protected:
  void Move(int pid, const std::string& group) {
    Put("/proc/" + std::to_string(pid) + "/cgroup", "4:memory:" + group + "\n0::" + group + "\n");
  }
  void Kills(const std::string& group, int n) {
    Put("/sys/fs/cgroup/memory" + group + "/memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill " + std::to_string(n) + "\n");
    Put("/sys/fs/cgroup" + group + "/memory.events",
        "low 0\nhigh 0\nmax 7\noom 3\noom_kill " + std::to_string(n) + "\noom_group_kill 0\n");
  }
};

TEST_F(MemoryKillWatchTest, AKillThatTheGroupCountsWasForWantOfMemoryInBothVersions) {
  for (const bool v2 : {false, true}) {
    if (v2) {
      UseV2("/");
    } else {
      UseV1("/", "/");
    }
    Kills("/box", 3);  // earlier ones
    Move(10, "/box");
    MemoryKillWatch watch(root_);
    watch.Look(10);
    Kills("/box", 4);
    EXPECT_TRUE(watch.WasKilled(10, true)) << v2;
    watch.Look(10);
    EXPECT_FALSE(watch.WasKilled(10, true)) << "another SIGKILL, which nothing counts: " << v2;
  }
}

TEST_F(MemoryKillWatchTest, OneKillInASharedGroupIsPutDownToOneProcess) {
  UseV1("/", "/");
  Kills("/box", 0);
  MemoryKillWatch watch(root_);
  for (const int pid : {10, 11, 12}) {
    Move(pid, "/box");
    watch.Look(pid);
  }
  Kills("/box", 1);
  EXPECT_FALSE(watch.WasKilled(10, false)) << "it ended by itself";
  EXPECT_TRUE(watch.WasKilled(11, true));
  EXPECT_FALSE(watch.WasKilled(12, true));
}

TEST_F(MemoryKillWatchTest, AProcessIsFollowedIntoItsGroupAndNotToTheRootWhereTheDeadAre) {
  UseV1("/", "/");
  Kills("", 0);
  Kills("/box", 0);
  Move(10, "/");
  MemoryKillWatch watch(root_);
  watch.Look(10);
  Move(10, "/box");
  watch.Look(10);
  Kills("/box", 1);
  Move(10, "/");
  watch.Look(10);
  EXPECT_TRUE(watch.WasKilled(10, true));
}

TEST_F(MemoryKillWatchTest, WithoutACounterOrALookNothingIsKnown) {
  UseV1("/", "/");
  Move(10, "/box");
  MemoryKillWatch watch(root_);
  watch.Look(10);
  EXPECT_FALSE(watch.WasKilled(10, true));
  EXPECT_FALSE(watch.WasKilled(11, true));
}

TEST_F(MemoryKillWatchTest, AGroupMadeAnewCountsFromZero) {
  UseV1("/", "/");
  Kills("/box", 5);
  Move(10, "/box");
  MemoryKillWatch watch(root_);
  watch.Look(10);
  Kills("/box", 0);
  EXPECT_FALSE(watch.WasKilled(10, true));
  watch.Look(10);
  Kills("/box", 1);
  EXPECT_TRUE(watch.WasKilled(10, true));
}

}  // namespace
}  // namespace longstride
