// Workers in memory control groups that hold less than the batch needs: limits that are seen, that
// are not, and that are lowered while training goes on. The kernel's own killer takes part. The
// model is wide and shallow, so that memory runs out before patience does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/round_log.h"
#include "tests/cli/temporary_directory.h"
#include "tests/integration/program.h"
#include "tests/integration/whole.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

constexpr double kMegabyte = 1 << 20;

// Some six megabytes of activations and their gradients a sample.
const char* const kJob = R"(
apiVersion: longstride.dev/v1alpha1
kind: TrainingJob
metadata: {name: wide}
spec:
  replicas: 2
  model: {name: mlp, mlp: {hidden: [524288]}}
  workers: [{name: worker, minReplicas: 1, batch: {max: 256}}]
  data:
    format: synthetic
    synthetic: {task: classification, samples: 4096, evaluationSamples: 64, shape: [2], classes: 4}
  training:
    maxSamples: 2048
    optimizer: {name: sgd}
    learningRate: {value: 0.01}
    localSteps: {policy: constant, steps: 1}
    batch: {policy: fixed, initial: 256}
  checkpoint: {everyRounds: 2}
)";

// A memory control group of cgroup v1, removed with the object.
class MemoryGroup {
 public:
  explicit MemoryGroup(std::string name)
      : name_(std::move(name)), directory_("/sys/fs/cgroup/memory/" + name_) {
    std::error_code error;
    fs::create_directory(directory_, error);
    usable_ = !error && access((directory_ + "/memory.limit_in_bytes").c_str(), W_OK) == 0;
  }
  ~MemoryGroup() {
    WaitFor(
        [&] {
          std::error_code error;
          fs::remove(directory_, error);
          return !error;
        },
        10);
  }

  [[nodiscard]] bool usable() const { return usable_; }
  [[nodiscard]] bool Limit(double bytes) const {
    std::ofstream out(directory_ + "/memory.limit_in_bytes");
    out << static_cast<int64_t>(bytes) << std::flush;
    return out.good();
  }
  [[nodiscard]] double Read(const std::string& file) const {
    std::ifstream in(directory_ + "/" + file);
    double value = 0;
    in >> value;
    return value;
  }
  void ResetPeak() const { std::ofstream(directory_ + "/memory.max_usage_in_bytes") << 0; }
  [[nodiscard]] double peak() const { return Read("memory.max_usage_in_bytes"); }
  [[nodiscard]] int64_t kills() const {
    std::ifstream in(directory_ + "/memory.oom_control");
    std::string name;
    for (int64_t value = 0; in >> name >> value;) {
      if (name == "oom_kill") return value;
    }
    return 0;
  }

 private:
  std::string name_;
  std::string directory_;
  bool usable_ = false;
};

class MemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 2; ++i)
      groups_.push_back(std::make_unique<MemoryGroup>(prefix_ + std::to_string(i)));
    if (!groups_[0]->usable())
      GTEST_SKIP() << "no memory control groups (cgroup v1, as root) can be made here";
    std::ofstream(job_) << kJob;
  }

  std::unique_ptr<Longstride> Start(const std::string& name, const std::vector<std::string>& more,
                                    bool unseen = false) {
    std::vector<std::string> words = {
        "run",
        job_,
        "--threads",
        "1",
        "--out",
        out(name),
        "--launch-prefix",
        std::string(LONGSTRIDE_SOURCE_DIR "/tests/integration/memory_group.sh ") +
            (unseen ? "--unseen " : "") + prefix_ + "{index}"};
    for (const std::string& set : more) {
      words.emplace_back("--set");
      words.push_back(set);
    }
    return std::make_unique<Longstride>(words, temporary_.path() + "/" + name + ".output");
  }
  [[nodiscard]] std::string out(const std::string& name) const {
    return temporary_.path() + "/" + name;
  }
  [[nodiscard]] std::vector<RoundRecord> Rounds(const std::string& name) const {
    auto history = ReadRoundLog(RunDirectory(out(name)).rounds());
    return history.ok() ? std::move(history.value().rounds) : std::vector<RoundRecord>{};
  }
  // Events of one kind, as they stand in events.jsonl.
  [[nodiscard]] std::vector<nlohmann::json> Events(const std::string& name,
                                                   const std::string& event) const {
    std::vector<nlohmann::json> found;
    std::ifstream in(RunDirectory(out(name)).events());
    for (std::string line; std::getline(in, line);) {
      auto json = nlohmann::json::parse(line, nullptr, false);
      if (json.is_object() && json["event"] == event) found.push_back(std::move(json));
    }
    return found;
  }
  [[nodiscard]] int64_t Kills() const { return groups_[0]->kills() + groups_[1]->kills(); }

  // What a worker takes that is told to use micro-batches of `samples`: as its profile predicts,
  // and as its group has seen it in the end.
  struct Need {
    double predicted = 0;
    double seen = 0;
  };
  Need NeedOf(int64_t samples) {
    const std::string name = "need-" + std::to_string(samples);
    for (const auto& group : groups_) group->ResetPeak();
    setenv("LONGSTRIDE_MICRO_BATCH", std::to_string(samples).c_str(), 1);
    auto run = Start(name, {"training.maxSamples=512", "limits.memory=2000Mi"});
    unsetenv("LONGSTRIDE_MICRO_BATCH");
    EXPECT_EQ(run->Wait(), 0) << run->Output();
    Need need;
    for (const auto& event : Events(name, "joined")) {
      need.predicted =
          std::max(need.predicted, event["join"]["profile"]["memoryPeakBytes"].get<double>());
    }
    need.seen = std::max(groups_[0]->peak(), groups_[1]->peak());
    return need;
  }

  TemporaryDirectory temporary_;
  const std::string job_ = temporary_.path() + "/job.yaml";
  const std::string prefix_ = "longstride-test-" + std::to_string(getpid()) + "-";
  std::vector<std::unique_ptr<MemoryGroup>> groups_;
};

TEST_F(MemoryTest, ALimitThatHolds64SamplesAndNot128IsFoundWithoutAKill) {
  const Need half = NeedOf(64), whole = NeedOf(128);
  // Just too little for 128: what is measured of a sample differs from run to run.
  const double limit = 0.95 * whole.seen;
  std::printf(
      "memory: 64 samples: %.0f MB predicted, %.0f MB seen; 128: %.0f MB, %.0f MB; limit %.0f MB\n",
      half.predicted / kMegabyte, half.seen / kMegabyte, whole.predicted / kMegabyte,
      whole.seen / kMegabyte, limit / kMegabyte);
  ASSERT_LT(half.seen, 0.9 * limit) << "a tenth is left free";
  for (const auto& group : groups_) {
    group->ResetPeak();
    ASSERT_TRUE(group->Limit(limit));
  }
  auto run = Start("limited", {});
  ASSERT_EQ(run->Wait(200), 0) << run->Output();
  ExpectWhole(Rounds("limited"));
  const auto joined = Events("limited", "joined");
  EXPECT_EQ(joined.size(), 2u);
  for (const auto& event : joined) {
    const int64_t cap = event["join"]["profile"]["microBatchCap"].get<int64_t>();
    std::printf("memory: micro-batches of at most %lld samples\n", static_cast<long long>(cap));
    EXPECT_GE(cap, 64);
    EXPECT_LT(cap, 128);
  }
  for (const auto& group : groups_) {
    std::printf("memory: %.0f MB seen under the limit\n", group->peak() / kMegabyte);
  }
  EXPECT_EQ(Kills(), 0);
  EXPECT_TRUE(Events("limited", "workerLost").empty());
}

TEST_F(MemoryTest, ALimitThatWorkersCannotSeeIsFoundByHalvingAfterEachKill) {
  const Need half = NeedOf(64), whole = NeedOf(128);
  const double limit = (half.seen + whole.seen) / 2;
  for (const auto& group : groups_) ASSERT_TRUE(group->Limit(limit));
  auto run = Start("unseen", {}, /*unseen=*/true);
  ASSERT_EQ(run->Wait(250), 0) << run->Output();
  ExpectWhole(Rounds("unseen"));
  const std::vector<RoundRecord> rounds = Rounds("unseen");
  ASSERT_FALSE(rounds.empty());
  for (const RoundReport& report : rounds.back().reports) {
    EXPECT_GE(report.micro_batch_cap.value_or(0), 16);
    EXPECT_LT(report.micro_batch_cap.value_or(999), 128);
  }
  std::printf(
      "memory: limit %.0f MB unseen: %lld kills until it settled at %lld and %lld samples\n",
      limit / kMegabyte, static_cast<long long>(Kills()),
      static_cast<long long>(rounds.back().reports.front().micro_batch_cap.value_or(0)),
      static_cast<long long>(rounds.back().reports.back().micro_batch_cap.value_or(0)));
  EXPECT_GE(Kills(), 2);
  EXPECT_LE(Kills(), 2 * 4) << "256 samples halved to 16 at most";
}

// Two workers take 96 samples each. Their limits are lowered to little more than that takes; then
// one of them is left alone with all 192.
enum class Lowered { kSeen, kUnseen, kAddressSpace };
class LoweredLimitTest : public MemoryTest, public testing::WithParamInterface<Lowered> {
 protected:
  static double AddressSpace(int pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/statm");
    double pages = 0;
    in >> pages;
    return pages * static_cast<double>(sysconf(_SC_PAGESIZE));
  }
  // Returns what is used and the new limit.
  static std::pair<double, double> Lower(const MemoryGroup& group, int pid, Lowered how) {
    if (how == Lowered::kAddressSpace) {
      const double used = AddressSpace(pid);
      const double limit = used + 64 * kMegabyte;
      const rlimit64 bytes{static_cast<rlim64_t>(limit), static_cast<rlim64_t>(limit)};
      EXPECT_EQ(prlimit64(pid, RLIMIT_AS, &bytes, nullptr), 0);
      return {used, limit};
    }
    const double used = group.Read("memory.usage_in_bytes"), limit = 1.15 * used;
    EXPECT_TRUE(group.Limit(limit)) << "the kernel refuses a limit below what is used";
    return {used, limit};
  }
  [[nodiscard]] RoundReport LastReport() const {
    const auto rounds = Rounds("lowered");
    return rounds.empty() ? RoundReport() : rounds.back().reports.front();
  }
};

TEST_P(LoweredLimitTest, IsSurvived) {
  const Lowered how = GetParam();
  auto run = Start("lowered", {"training.batch.initial=192", "training.maxSamples=8000"},
                   how == Lowered::kUnseen);
  ASSERT_TRUE(WaitFor([&] { return !run->running() || Rounds("lowered").size() >= 3; }));
  const std::vector<int> workers = run->Workers();
  ASSERT_EQ(workers.size(), 2u) << run->Output();
  for (size_t i = 0; i < 2; ++i) {
    const auto [used, limit] = Lower(*groups_[i], workers[i], how);
    std::printf("memory: %.0f MB used, limit lowered to %.0f MB\n", used / kMegabyte,
                limit / kMegabyte);
  }
  if (how == Lowered::kSeen) {
    EXPECT_TRUE(WaitFor([&] {
      return TailOf(RunDirectory(out("lowered")).WorkerLog(0), 1000)
                 .find("the memory limit is now") != std::string::npos;
    }));
  }
  Longstride scale({"scale", out("lowered"), "1"}, temporary_.path() + "/scale");
  ASSERT_EQ(scale.Wait(), 0) << scale.Output();
  ASSERT_EQ(run->Wait(450), 0) << run->Output();
  ExpectWhole(Rounds("lowered"));
  const RoundReport last = LastReport();
  EXPECT_EQ(last.local_batch, 192);
  EXPECT_LT(last.micro_batch_cap.value_or(999), 192);
  std::printf("memory: %lld kills; it ends with micro-batches of at most %lld of 192 samples\n",
              static_cast<long long>(Kills()),
              static_cast<long long>(last.micro_batch_cap.value_or(0)));
  // A limit that is lowered in the middle of a round may be met before it is seen.
  EXPECT_LE(Kills(), how == Lowered::kUnseen ? 6 : 2);
  if (how == Lowered::kAddressSpace) {
    EXPECT_EQ(Kills(), 0);
    EXPECT_TRUE(Events("lowered", "workerLost").empty());
  }
}
INSTANTIATE_TEST_SUITE_P(HowItShows, LoweredLimitTest,
                         testing::Values(Lowered::kSeen, Lowered::kUnseen, Lowered::kAddressSpace));

}  // namespace
}  // namespace longstride
