#include "core/schedule/allocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <optional>

#include "tests/core/schedule/seeds.h"

namespace longstride {
namespace {

using Batches = std::vector<int64_t>;

int64_t Sum(const Batches& b) {
  return std::accumulate(b.begin(), b.end(), int64_t{0});
}

std::vector<WorkerCost> RandomWorkers(Random& random, int64_t most, int64_t largest) {
  std::vector<WorkerCost> workers(static_cast<size_t>(Between(random, 1, most)));
  for (WorkerCost& w : workers) {
    w.alpha = random.NextBelow(4) == 0 ? 0 : 3 * random.NextUniform();
    w.beta = random.NextBelow(6) == 0 ? 0 : random.NextUniform();
    w.micro_batch = Between(random, 1, largest);
    w.min = Between(random, 0, largest / 3);
    w.max = Between(random, w.min, largest);
  }
  return workers;
}

// The smallest makespan over all splits; nothing when there is none.
std::optional<double> BestMakespan(const std::vector<WorkerCost>& workers, int64_t batch,
                                   Batches& chosen) {
  const size_t m = chosen.size();
  if (m == workers.size()) {
    if (batch != 0) return std::nullopt;
    return Makespan(workers, chosen);
  }
  std::optional<double> best;
  for (int64_t b = workers[m].min; b <= std::min(workers[m].max, batch); ++b) {
    chosen.push_back(b);
    const std::optional<double> found = BestMakespan(workers, batch - b, chosen);
    chosen.pop_back();
    if (found && (!best || *found < *best)) best = found;
  }
  return best;
}

TEST(Allocation, MakespanIsTheSmallestThereIs) {
  int feasible = 0;
  ForEachSeed(1500, [&](Random& random) {
    const std::vector<WorkerCost> workers = RandomWorkers(random, 4, 8);
    const int64_t batch = Between(random, 0, 20);
    Batches chosen;
    const std::optional<double> best = BestMakespan(workers, batch, chosen);
    const Result<Batches> split = AllocateBatch(workers, batch);
    ASSERT_EQ(split.ok(), best.has_value());
    if (!split.ok()) return;
    ++feasible;
    EXPECT_EQ(Makespan(workers, *split), *best);
  });
  EXPECT_GT(feasible, 300);
}

TEST(Allocation, SumIsExactAndBoundsHold) {
  ForEachSeed(300, [](Random& random) {
    const std::vector<WorkerCost> workers = RandomWorkers(random, 64, 3000);
    int64_t least = 0;
    int64_t most = 0;
    for (const WorkerCost& w : workers) {
      least += w.min;
      most += w.max;
    }
    const int64_t batch = Between(random, least, most);
    for (const Result<Batches>& split :
         {AllocateBatch(workers, batch), SplitEqually(workers, batch)}) {
      ASSERT_TRUE(split.ok()) << split.error().message;
      ASSERT_EQ(Sum(*split), batch);
      for (size_t m = 0; m < workers.size(); ++m) {
        ASSERT_GE((*split)[m], workers[m].min);
        ASSERT_LE((*split)[m], workers[m].max);
      }
    }
    EXPECT_LE(Makespan(workers, *AllocateBatch(workers, batch)),
              Makespan(workers, *SplitEqually(workers, batch)));
  });
}

TEST(Allocation, FasterWorkersGetProportionallyMore) {
  std::vector<WorkerCost> workers(3);
  workers[0].beta = 1;
  workers[1].beta = 2;
  workers[2].beta = 4;
  EXPECT_THAT(*AllocateBatch(workers, 70), ::testing::ElementsAre(40, 20, 10));
}

TEST(Allocation, MemoryCapsTheMicroBatchNotTheBatch) {
  std::vector<WorkerCost> workers(2);
  for (WorkerCost& w : workers) w.beta = 1;
  workers[0].micro_batch = 10;
  EXPECT_THAT(*AllocateBatch(workers, 100), ::testing::ElementsAre(50, 50));
  workers[0].alpha = 10;  // each of its micro-batches of 10 now takes 10 + 10
  EXPECT_EQ(StepSeconds(workers[0], 31), 4 * 10 + 31);
  EXPECT_THAT(*AllocateBatch(workers, 90), ::testing::ElementsAre(30, 60));
}

TEST(Allocation, EqualWorkersShareEquallyAndTheFirstTakeTheRest) {
  std::vector<WorkerCost> workers(4);
  for (WorkerCost& w : workers) w.beta = 0.125;
  EXPECT_THAT(*AllocateBatch(workers, 10), ::testing::ElementsAre(3, 3, 2, 2));
  EXPECT_THAT(*SplitEqually(workers, 10), ::testing::ElementsAre(3, 3, 2, 2));
}

TEST(Allocation, EqualSplitYieldsToBounds) {
  std::vector<WorkerCost> workers(3);
  workers[0].max = 5;
  workers[2].min = 40;
  workers[1].beta = 1e9;  // speeds do not matter
  EXPECT_THAT(*SplitEqually(workers, 60), ::testing::ElementsAre(5, 15, 40));
}

TEST(Allocation, WorkersThatCostNothingShareByTheirRoom) {
  std::vector<WorkerCost> workers(2);
  workers[0].max = 11;
  workers[1].max = 6;
  EXPECT_THAT(*AllocateBatch(workers, 12), ::testing::ElementsAre(8, 4));
}

TEST(Allocation, UnboundedWorkersDoNotOverflow) {
  std::vector<WorkerCost> workers(4);
  for (WorkerCost& w : workers) {
    w.max = std::numeric_limits<int64_t>::max();
    w.micro_batch = std::numeric_limits<int64_t>::max();
    w.beta = 1;
  }
  EXPECT_THAT(*AllocateBatch(workers, 8), ::testing::Each(2));
}

struct Refusal {
  const char* name;
  int64_t batch;
  WorkerCost worker;
  ErrorCode code;
  const char* says;
};

class AllocationRefuses : public ::testing::TestWithParam<Refusal> {};

TEST_P(AllocationRefuses, NamingTheConstraint) {
  const std::vector<WorkerCost> workers{WorkerCost{0, 1, 8, 1, 8}, GetParam().worker};
  const Result<Batches> split = AllocateBatch(workers, GetParam().batch);
  ASSERT_FALSE(split.ok());
  EXPECT_EQ(split.error().code, GetParam().code);
  EXPECT_THAT(split.error().message, ::testing::HasSubstr(GetParam().says));
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
INSTANTIATE_TEST_SUITE_P(
    All, AllocationRefuses,
    ::testing::Values(
        Refusal{"Maxima", 17, {0, 1, 8, 1, 8}, ErrorCode::kUser, "workers' largest batches, 16"},
        Refusal{"Minima", 3, {0, 1, 8, 3, 8}, ErrorCode::kUser, "workers' smallest batches, 4"},
        Refusal{"Crossed", 8, {0, 1, 8, 5, 4}, ErrorCode::kUser, "rank 1"},
        Refusal{"NegativeMin", 8, {0, 1, 8, -1, 4}, ErrorCode::kUser, "rank 1"},
        Refusal{"Nan", 8, {kNan, 1, 8, 1, 8}, ErrorCode::kBug, "rank 1"},
        Refusal{"NegativeBeta", 8, {0, -1, 8, 1, 8}, ErrorCode::kBug, "rank 1"},
        Refusal{"NoMicroBatch", 8, {0, 1, 0, 1, 8}, ErrorCode::kBug, "rank 1"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Allocation, RefusesToSplitOverNobody) {
  EXPECT_EQ(AllocateBatch({}, 8).error().code, ErrorCode::kUser);
}

}  // namespace
}  // namespace longstride
