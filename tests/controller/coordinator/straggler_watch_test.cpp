#include "controller/coordinator/straggler_watch.h"

#include <gmock/gmock.h>

#include "tests/controller/coordinator/samples.h"

namespace longstride {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

RoundRecord Record(const std::vector<double>& data_seconds) {
  RoundRecord record;
  for (size_t i = 0; i < data_seconds.size(); ++i) {
    const auto rank = static_cast<int64_t>(i);
    record.workers.push_back(MakeJoin(rank).worker);
    record.reports.push_back(
        MakeReport({1, 1}, 1, rank, static_cast<int64_t>(data_seconds.size())));
    record.reports.back().seconds.data = data_seconds[i];
    record.reports.back().seconds.compute = 1;
  }
  return record;
}

class StragglerWatchTest : public testing::Test {
 protected:
  // Rounds after which nothing is due.
  void Quiet(int64_t rounds, const std::vector<double>& data_seconds) {
    for (int64_t i = 0; i < rounds; ++i)
      EXPECT_THAT(watch_.Observe(Record(data_seconds)), IsEmpty()) << "round " << i;
  }
  StragglerWatch watch_;
};

constexpr int64_t kPatience = StragglerWatch::kPatience;

TEST_F(StragglerWatchTest, IsProfiledAnewAndThenShed) {
  const WorkerId slow = MakeJoin(2).worker;
  Quiet(kPatience - 1, {0, 0, 2});
  EXPECT_THAT(watch_.Observe(Record({0, 0, 2})),
              ElementsAre(Pair(slow, StragglerAction::kReprofile)));
  Quiet(kPatience - 1, {0, 0, 2});
  EXPECT_THAT(watch_.Observe(Record({0, 0, 2})), ElementsAre(Pair(slow, StragglerAction::kShed)));
  Quiet(3 * kPatience, {0, 0, 2});
}

TEST_F(StragglerWatchTest, OneGoodRoundAbsolves) {
  Quiet(kPatience - 1, {0, 0, 2});
  Quiet(1, {0, 0, 0});
  Quiet(kPatience - 1, {0, 0, 2});
}

TEST_F(StragglerWatchTest, UnlikeWorkersThatTakeAboutAsLongAreNone) {
  Quiet(3 * kPatience, {0, 0.4, 0.9});
}

TEST_F(StragglerWatchTest, TwoWorkersCannotTellWhichOfThemIsSlow) {
  Quiet(3 * kPatience, {0, 9});
}

}  // namespace
}  // namespace longstride
