// What workers' memory was found to hold, and what follows for those who come after them.
#include "tests/controller/coordinator/coordinator_fixture.h"

namespace longstride {
namespace {

using ::testing::HasSubstr;

class MemoryTest : public CoordinatorTest {
 protected:
  void RunOutOfMemory(int64_t index, bool had_joined = true) {
    coordinator_->WorkerExited("worker", index, 137, "was killed by signal 9", had_joined,
                               clock_.Now(), /*out_of_memory=*/true);
    Collect();
  }
  [[nodiscard]] std::optional<int64_t> Limit(int64_t index) const {
    return coordinator_->MicroBatchLimit({"worker", index});
  }
};

TEST_F(MemoryTest, AWorkerKilledForWantOfMemoryComesBackWithHalfItsMicroBatch) {
  Make(2);
  JoinAll();
  for (int64_t r = 0; r < 2; ++r) {
    RoundReport report = MakeReport(kFirst, 1, r, 2);
    report.local_batch = 64;
    report.micro_batch_cap = 48;
    ASSERT_TRUE(Report(report).ok());
  }
  RunOutOfMemory(1);
  EXPECT_EQ(Limit(1), 24);
  EXPECT_EQ(Limit(0), 48);
  EXPECT_THAT(Of<WorkerLostEvent>(events_).back().reason, HasSubstr("at most 24 samples"));
  Rejoin(1, "2");
  EXPECT_EQ(Of<JoinedEvent>(events_).back().join.profile.micro_batch_cap, 24);
  ASSERT_TRUE(Poll(0, kFirst, 1).has_value());
  EXPECT_EQ(coordinator_->plans().back().shares[1].micro_batch_cap, 24);
  RunOutOfMemory(1);
  EXPECT_EQ(Limit(1), 12) << "halved again although it has not reported";
}

TEST_F(MemoryTest, AWorkerKilledByAnythingElseKeepsItsMicroBatch) {
  Make(2);
  JoinAll();
  Die(1);
  EXPECT_EQ(Limit(1), std::nullopt);
}

TEST_F(MemoryTest, AKillWhileAWorkerProfilesCountsFromTheFirstBatch) {
  Make(2);
  RunOutOfMemory(0, /*had_joined=*/false);
  EXPECT_EQ(Limit(0), 32);
  EXPECT_FALSE(coordinator_->end().has_value());
}

TEST_F(MemoryTest, AWorkerKilledAtOneSampleEndsTheJobWithAResourceError) {
  for (const bool had_joined : {true, false}) {
    events_.clear();
    Make(1);
    for (int kills = 1; !coordinator_->end() && kills < 20; ++kills) {
      if (had_joined) Rejoin(0, std::to_string(kills));
      RunOutOfMemory(0, had_joined);
    }
    EXPECT_EQ(End().outcome, JobOutcome::kFailed);
    EXPECT_EQ(End().code, ErrorCode::kResource);
    EXPECT_THAT(End().reason, HasSubstr("micro-batches of one sample"));
  }
}

TEST_F(MemoryTest, AKillThatIsHeardOfAfterTheWorkerWasGivenUpCountsAsWell) {
  Make(1);
  for (int kills = 1; !coordinator_->end() && kills < 20; ++kills) {
    Rejoin(0, std::to_string(kills));
    Die(0);
    RunOutOfMemory(0);
  }
  EXPECT_EQ(End().code, ErrorCode::kResource);
  EXPECT_THAT(End().reason, HasSubstr("micro-batches of one sample"));
}

}  // namespace
}  // namespace longstride
