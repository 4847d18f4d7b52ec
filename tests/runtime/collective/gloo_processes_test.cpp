// Gloo among real processes: peers that die or stand still, and bytes by the kernel's counters.
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <future>

#include "core/base/format.h"
#include "runtime/collective/codec.h"
#include "runtime/collective/traffic.h"
#include "tests/runtime/collective/gloo_members.h"

namespace longstride {
namespace {

constexpr size_t kCount =
    2 << 20;  // more than the sockets' buffers hold, so that a call must block
constexpr auto kForever = std::chrono::hours(1);

Status AllReduceUntilItFails(Collective& collective) {
  std::vector<float> data(kCount, 1.0f);
  for (;;) {
    const Status status = collective.AllReduceSum(std::span<float>(data), Purpose::kModel);
    if (!status.ok()) return status;
  }
}

// This process is rank 0, child processes are the others. They run `body` and exit with its code.
class Family {
 public:
  using Body = std::function<Status(Collective&)>;

  Family(int size, const Body& body) {
    for (int r = 1; r < size; ++r) {
      const pid_t child = fork();
      if (child == 0) {
        auto made = Make(r, size);
        const Status status = made.ok() ? body(**made) : Status(made.error());
        _exit(status.ok() ? 0 : ExitCodeOf(status.error().code));
      }
      children_.push_back(child);
    }
    auto made = Make(0, size);
    if (!made.ok()) {
      std::fprintf(stderr, "%s\n", made.error().message.c_str());
      std::abort();
    }
    self_ = std::move(*made);
  }
  ~Family() {
    for (const pid_t child : children_) {
      if (child == 0) continue;
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  Collective& self() { return *self_; }

  void Kill(int rank) {
    kill(children_[rank - 1], SIGKILL);
    waitpid(std::exchange(children_[rank - 1], 0), nullptr, 0);
  }
  void Stop(int rank) {
    kill(children_[rank - 1], SIGSTOP);
    int status = 0;
    waitpid(children_[rank - 1], &status, WUNTRACED);
    ASSERT_TRUE(WIFSTOPPED(status));
  }
  int ExitCode(int rank) {
    int status = 0;
    waitpid(std::exchange(children_[rank - 1], 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  Result<std::unique_ptr<Collective>> Make(int rank, int size) {
    GlooOptions options = LoopbackOptions(rank, size);
    options.timeout = kForever;  // only an error or an abort may end a call
    return MakeGlooCollective(options, std::make_shared<FileStore>(folder_.path()));
  }

  ScratchFolder folder_;
  std::vector<pid_t> children_;
  std::unique_ptr<Collective> self_;
};

// Many times, as the others must not depend on how much of a message had come.
TEST(GlooProcesses, AKilledPeerIsLostForAllSurvivorsLongBeforeTheirDeadline) {
  for (int i = 0; i < 12 && !HasFailure(); ++i) {
    Family family(4, AllReduceUntilItFails);
    std::vector<float> data(kCount, 1.0f);
    ASSERT_TRUE(family.self().AllReduceSum(std::span<float>(data), Purpose::kModel).ok());
    family.Kill(2);
    EXPECT_EQ(AllReduceUntilItFails(family.self()).error().code, ErrorCode::kLostPeer);
    EXPECT_EQ(family.ExitCode(1), ExitCodeOf(ErrorCode::kLostPeer));
    EXPECT_EQ(family.ExitCode(3), ExitCodeOf(ErrorCode::kLostPeer));
  }
}

TEST(GlooProcesses, AbortEndsACallThatWaitsForAPeerThatStandsStill) {
  Family family(3, AllReduceUntilItFails);
  family.Stop(1);
  auto blocked =
      std::async(std::launch::async, [&] { return AllReduceUntilItFails(family.self()); });
  EXPECT_EQ(blocked.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  family.self().Abort();
  EXPECT_EQ(blocked.get().error().code, ErrorCode::kLostPeer);
  EXPECT_EQ(family.ExitCode(2), ExitCodeOf(ErrorCode::kLostPeer));
}

TEST(GlooProcesses, ADeadlineEndsACallThatWaitsForAPeerThatStandsStill) {
  Family family(3, AllReduceUntilItFails);
  family.Stop(2);
  family.self().SetTimeout(std::chrono::milliseconds(20));
  EXPECT_EQ(AllReduceUntilItFails(family.self()).error().code, ErrorCode::kTransient);
}

// --- Bytes
// -------------------------------------------------------------------------------------------

std::string Output(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string text;
  for (int c = 0; pipe && (c = std::fgetc(pipe.get())) != EOF;) text += static_cast<char>(c);
  return text;
}

// Network namespaces for the members, one each.
class Namespaces {
 public:
  explicit Namespaces(int size) : prefix_(Format("lg%d", getpid() % 100000)) {
    up_ = std::system(Run("up", Format("%d 0 %d", size, getpid())).c_str()) == 0;
  }
  ~Namespaces() { up_ = std::system(Run("down", "").c_str()) == 0; }
  Namespaces(const Namespaces&) = delete;
  Namespaces& operator=(const Namespaces&) = delete;

  bool up() const { return up_; }
  std::string Address(int rank) const {
    std::string text = Output(Run("address", std::to_string(rank)));
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }
  WireBytes Counters(int rank) const {
    WireBytes bytes;
    std::sscanf(Output(Run("bytes", std::to_string(rank))).c_str(), "%ld %ld", &bytes.sent,
                &bytes.received);
    return bytes;
  }
  void Enter(int rank) const {
    const int fd = open(Format("/run/netns/%s-%d", prefix_.c_str(), rank).c_str(), O_RDONLY);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) _exit(99);
  }

 private:
  std::string Run(const char* verb, const std::string& rest) const {
    return Format("%s/scripts/netns.sh %s %s %s", LONGSTRIDE_SOURCE_DIR, verb, prefix_.c_str(),
                  rest.c_str());
  }
  const std::string prefix_;
  bool up_ = false;
};

struct TrafficCase {
  const char* name;
  Status (*run)(Collective&);
};

class GlooTraffic : public testing::TestWithParam<TrafficCase> {};

TEST_P(GlooTraffic, IsWhatTheKernelCountsButForHeaders) {
  if (geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
  constexpr int kSize = 3;
  const Namespaces spaces(kSize);
  ASSERT_TRUE(spaces.up());
  const ScratchFolder folder;
  std::vector<pid_t> children;
  int pipes[kSize][2];
  for (int r = 0; r < kSize; ++r) {
    ASSERT_EQ(pipe(pipes[r]), 0);
    const std::string address = spaces.Address(r);
    const pid_t child = fork();
    if (child == 0) {
      spaces.Enter(r);
      auto made = MakeGlooCollective(LoopbackOptions(r, kSize, address.c_str()),
                                     std::make_shared<FileStore>(folder.path()));
      if (!made.ok() || !GetParam().run(**made).ok() || !(*made)->Barrier().ok()) _exit(1);
      const WireBytes counted{(*made)->traffic().TotalSent(), (*made)->traffic().TotalReceived()};
      _exit(write(pipes[r][1], &counted, sizeof counted) == sizeof counted ? 0 : 1);
    }
    children.push_back(child);
  }
  for (int r = 0; r < kSize; ++r) {
    int status = 0;
    waitpid(children[r], &status, 0);
    ASSERT_EQ(status, 0) << "rank " << r;
    WireBytes counted;
    ASSERT_EQ(read(pipes[r][0], &counted, sizeof counted), static_cast<ssize_t>(sizeof counted));
    close(pipes[r][0]);
    close(pipes[r][1]);
    // 66 bytes of headers on 1448 of payload, and at most one acknowledgement of 66 for each as
    // well.
    const auto bound = [](int64_t one_way, int64_t other_way) {
      return static_cast<int64_t>(static_cast<double>(one_way) * 1.05 +
                                  static_cast<double>(other_way) * 0.05 + 60e3);
    };
    const WireBytes kernel = spaces.Counters(r);
    EXPECT_GE(kernel.sent, counted.sent) << "rank " << r;
    EXPECT_LE(kernel.sent, bound(counted.sent, counted.received)) << "rank " << r;
    EXPECT_GE(kernel.received, counted.received) << "rank " << r;
    EXPECT_LE(kernel.received, bound(counted.received, counted.sent)) << "rank " << r;
  }
}

constexpr size_t kBytes = 6 << 20;

INSTANTIATE_TEST_SUITE_P(
    , GlooTraffic,
    testing::Values(TrafficCase{"AllReduce",
                                [](Collective& c) {
                                  std::vector<float> data(kBytes / sizeof(float));
                                  return c.AllReduceSum(std::span<float>(data), Purpose::kModel);
                                }},
                    TrafficCase{"AllGather",
                                [](Collective& c) {
                                  std::vector<std::byte> mine(kBytes), all(kBytes * c.size());
                                  return c.AllGather(mine, all, Purpose::kModel);
                                }},
                    TrafficCase{"AllToAll",
                                [](Collective& c) {
                                  std::vector<std::byte> send(kBytes), receive(kBytes);
                                  return c.AllToAll(send, receive, Purpose::kModel);
                                }},
                    TrafficCase{"Broadcast",
                                [](Collective& c) {
                                  std::vector<std::byte> data(kBytes);
                                  return c.Broadcast(data, 1, Purpose::kModel);
                                }},
                    TrafficCase{"Bfloat16AllReduce",
                                [](Collective& c) {
                                  std::vector<float> data(kBytes / sizeof(float));
                                  return AllReduceSumBfloat16(c, data, Purpose::kModel);
                                }}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace longstride
