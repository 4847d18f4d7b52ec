// Members that cannot hear each other while all reach the coordinator.
#include "tests/controller/coordinator/coordinator_fixture.h"

namespace longstride {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class UnheardTest : public CoordinatorTest {
 protected:
  // Members with their ranks that do not answer them.
  using Silences = std::map<int64_t, std::vector<int64_t>>;

  void Start(int64_t replicas) {
    Make(replicas);
    JoinAll();
    std::vector<int64_t> all;
    for (int64_t i = 0; i < replicas; ++i) all.push_back(i);
    Pass(seconds(5), all);  // until somebody may be declared dead
  }
  void PassWith(const Silences& silences, Duration time) {
    for (Duration done{}; done < time; done += milliseconds(100)) {
      clock_.Advance(milliseconds(100));
      for (const auto& [index, silent] : silences)
        coordinator_->Heartbeat({MakeJoin(index).worker, kFirst, 0, false, silent}, clock_.Now());
      coordinator_->Tick(clock_.Now());
    }
    Collect();
  }
  std::vector<int64_t> Lost() const {
    std::vector<int64_t> lost;
    for (const auto& e : Of<WorkerLostEvent>(events_)) lost.push_back(e.worker.index);
    return lost;
  }
};

TEST_F(UnheardTest, OfTwoThatAreCutOffFromEachOtherTheHigherRankIsLostWithinASecond) {
  Start(3);
  PassWith({{0, {2}}, {1, {}}, {2, {0}}}, seconds(1));
  EXPECT_EQ(Lost(), std::vector<int64_t>{2});
  EXPECT_THAT(Of<WorkerLostEvent>(events_)[0].reason, HasSubstr("worker-0 is cut"));
  EXPECT_EQ(Beat(0).state, MemberState::kReform);
  EXPECT_EQ(Beat(2).state, MemberState::kFenced);
}

TEST_F(UnheardTest, ReportsThatComeLaterAreWaitedForSoThatTheRightOneGoes) {
  Start(3);
  PassWith({{0, {}}, {1, {0}}, {2, {}}}, milliseconds(500));
  PassWith({{0, {1, 2}}, {1, {0}}, {2, {0}}}, milliseconds(500));
  EXPECT_EQ(Lost(), std::vector<int64_t>{0});
}

TEST_F(UnheardTest, ASilenceThatEndsInTimeHasNoConsequence) {
  Start(2);
  PassWith({{0, {1}}, {1, {}}}, milliseconds(500));
  PassWith({{0, {}}, {1, {}}}, milliseconds(500));
  PassWith({{0, {1}}, {1, {}}}, milliseconds(500));
  EXPECT_THAT(Lost(), SizeIs(0));
}

TEST_F(UnheardTest, WhoDoesNotReachTheCoordinatorEitherIsLeftToTheLimitOfHeartbeats) {
  Start(2);
  PassWith({{1, {}}}, seconds(2));
  PassWith({{1, {0}}}, milliseconds(400));
  EXPECT_THAT(Lost(), SizeIs(0)) << "rank 0 is frozen, and rank 1 not to blame";
  PassWith({{1, {0}}}, milliseconds(500));
  EXPECT_EQ(Lost(), std::vector<int64_t>{0});
}

TEST_F(UnheardTest, SilencesOfAnEarlierGenerationSayNothing) {
  Start(3);
  PassWith({{0, {2}}, {1, {}}, {2, {}}}, seconds(1));
  ASSERT_EQ(Lost(), std::vector<int64_t>{2});
  (void)Poll(0, kFirst);
  (void)Poll(1, kFirst);
  PassWith({{0, {1}}, {1, {}}}, seconds(2));
  EXPECT_EQ(Lost(), std::vector<int64_t>{2});
}

}  // namespace
}  // namespace longstride
