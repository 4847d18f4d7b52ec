#include "runtime/profile/limits.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "runtime/profile/cgroup.h"
#include "tests/runtime/profile/machine_fixture.h"

namespace longstride {
namespace {

class LimitsTest : public MachineTest {
 protected:
  void SetUp() override {
    MachineTest::SetUp();
    Put("/proc/self/status",
        "Name:\tx\nVmHWM:\t    3000 kB\nVmRSS:\t    2000 kB\nRssFile:\t     500 "
        "kB\nCpus_allowed_list:\t0-7\n");
    Put("/proc/meminfo", "MemTotal:       16000000 kB\nMemFree: 1 kB\n");
  }
};

TEST_F(LimitsTest, WithoutControlGroupsTheMachineIsTheLimit) {
  const MachineLimits limits = ReadMachineLimits(root_);
  EXPECT_EQ(limits.cpus, 8);
  EXPECT_EQ(limits.cpu_quota, 0);
  EXPECT_EQ(limits.memory_limit_bytes, 16000000LL * 1024);
}

TEST_F(LimitsTest, V2TakesTheTightestGroupOnTheWayUp) {
  UseV2("/pods/pod1/main");
  Put("/sys/fs/cgroup/pods/pod1/main/memory.max", "max\n");
  Put("/sys/fs/cgroup/pods/pod1/memory.max", "1000000\n");
  Put("/sys/fs/cgroup/pods/memory.max", "2000000\n");
  Put("/sys/fs/cgroup/pods/pod1/main/cpu.max", "250000 100000\n");
  Put("/sys/fs/cgroup/pods/cpu.max", "150000 100000\n");
  Put("/sys/fs/cgroup/pods/pod1/main/cpuset.cpus.effective", "0-3\n");
  Put("/sys/fs/cgroup/pods/pod1/main/memory.current", "12345\n");
  const MachineLimits limits = ReadMachineLimits(root_);
  EXPECT_EQ(limits.memory_limit_bytes, 1000000);
  EXPECT_DOUBLE_EQ(limits.cpu_quota, 1.5);
  EXPECT_EQ(limits.cpus, 4);
  EXPECT_EQ(CgroupMemoryBytes(root_), 12345);
}

TEST_F(LimitsTest, V2InsideANamespaceReadsTheMountPoint) {
  UseV2("/");
  Put("/sys/fs/cgroup/memory.max", "777777\n");
  Put("/sys/fs/cgroup/cpu.max", "max 100000\n");
  const MachineLimits limits = ReadMachineLimits(root_);
  EXPECT_EQ(limits.memory_limit_bytes, 777777);
  EXPECT_EQ(limits.cpu_quota, 0);
}

TEST_F(LimitsTest, V1ReadsQuotaMemoryAndCpuset) {
  UseV1("/", "/box/a");
  Put("/sys/fs/cgroup/memory/box/a/memory.limit_in_bytes", "9223372036854771712\n");
  Put("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "536870912\n");
  Put("/sys/fs/cgroup/memory/box/a/memory.usage_in_bytes", "4096\n");
  Put("/sys/fs/cgroup/cpu,cpuacct/box/a/cpu.cfs_quota_us", "50000\n");
  Put("/sys/fs/cgroup/cpu,cpuacct/box/a/cpu.cfs_period_us", "100000\n");
  Put("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "-1\n");
  Put("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
  Put("/sys/fs/cgroup/cpuset/cpuset.cpus", "0,2\n");
  const MachineLimits limits = ReadMachineLimits(root_);
  EXPECT_EQ(limits.memory_limit_bytes, 536870912);
  EXPECT_DOUBLE_EQ(limits.cpu_quota, 0.5);
  EXPECT_EQ(limits.cpus, 2);
  EXPECT_EQ(CgroupMemoryBytes(root_), 4096);
}

// A container runtime bind-mounts the container's own group over the mount point.
TEST_F(LimitsTest, AGroupThatIsTheMountsRootCountsAsTheMountPoint) {
  UseV1("/docker/abc", "/docker/abc");
  Put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1048576\n");
  EXPECT_EQ(ReadMachineLimits(root_).memory_limit_bytes, 1048576);
}

TEST_F(LimitsTest, AGroupOutsideTheNamespaceCountsAsTheMountPoint) {
  UseV2("/../other");
  Put("/sys/fs/cgroup/memory.max", "4242\n");
  EXPECT_EQ(ReadMachineLimits(root_).memory_limit_bytes, 4242);
}

TEST_F(LimitsTest, GarbageSetsNoLimit) {
  UseV2("/");
  Put("/sys/fs/cgroup/memory.max", "\n");
  Put("/sys/fs/cgroup/cpu.max", "nonsense\n");
  Put("/sys/fs/cgroup/cpuset.cpus.effective", "3-1\n");
  const MachineLimits limits = ReadMachineLimits(root_);
  EXPECT_EQ(limits.memory_limit_bytes, 16000000LL * 1024);
  EXPECT_EQ(limits.cpu_quota, 0);
  EXPECT_EQ(limits.cpus, 8);
}

TEST_F(LimitsTest, ReadsResidentMemoryAndCpuName) {
  Put("/proc/cpuinfo", "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC 7763\n");
  EXPECT_EQ(ResidentBytes(root_), 2000 * 1024);
  EXPECT_EQ(PeakResidentBytes(root_), 3000 * 1024);
  EXPECT_EQ(ResidentFileBytes(root_), 500 * 1024);
  EXPECT_EQ(CpuName(root_), "AMD EPYC 7763");
  Put("/proc/cpuinfo", "processor\t: 0\n");
  EXPECT_EQ(CpuName(root_), "unknown CPU");
}

TEST(MachineLimits, ThisMachineHasACpuAndMemory) {
  const MachineLimits limits = ReadMachineLimits();
  EXPECT_GE(limits.cpus, 1);
  EXPECT_GT(limits.memory_limit_bytes, 0);
  EXPECT_GT(ResidentBytes(), 0);
  EXPECT_GE(PeakResidentBytes(), ResidentBytes());
}

TEST(PeakResidentBytes, CanBeResetWhereTheKernelSaysSo) {
  if (!ResetPeakResidentBytes()) GTEST_SKIP() << "/proc/self/clear_refs cannot be written here";
  const int64_t before = PeakResidentBytes();
  // Mapped by hand: an allocator, a sanitizer's above all, may keep what it is given back.
  constexpr size_t size = 64 << 20;
  void* block = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(block, MAP_FAILED);
  std::memset(block, 1, size);
  ::munmap(block, size);
  EXPECT_GE(PeakResidentBytes(), before + (60 << 20));
  EXPECT_TRUE(ResetPeakResidentBytes());
  EXPECT_LT(PeakResidentBytes(), before + (60 << 20));
  EXPECT_FALSE(ResetPeakResidentBytes("/does/not/exist"));
}

TEST(ThreadCount, IsTheQuotaRoundedUpWithinTheCpus) {
  struct Case {
    int64_t cpus;
    double quota;
    int64_t threads;
  };
  for (const Case& c : {Case{8, 0, 8}, Case{8, 0.2, 1}, Case{8, 1, 1}, Case{8, 1.5, 2},
                        Case{2, 6, 2}, Case{0, 0, 1}}) {
    EXPECT_EQ(ThreadCount({c.cpus, c.quota, 0}), c.threads) << c.cpus << " CPUs, quota " << c.quota;
  }
}

TEST(TighterLimit, ZeroMeansNone) {
  EXPECT_EQ(TighterLimit(0, 0), 0);
  EXPECT_EQ(TighterLimit(0, 5), 5);
  EXPECT_EQ(TighterLimit(7, 0), 7);
  EXPECT_EQ(TighterLimit(7, 5), 5);
}

TEST(CountCpuList, CountsRangesAndRefusesGarbage) {
  EXPECT_EQ(CountCpuList("0"), 1);
  EXPECT_EQ(CountCpuList("0-3,8,10-11"), 7);
  for (const char* bad : {"", "a", "1-", "2-1", "0-x", "0:3"})
    EXPECT_EQ(CountCpuList(bad), 0) << bad;
}

}  // namespace
}  // namespace longstride
