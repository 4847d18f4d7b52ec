#include "controller/app/progress_pacer.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace longstride {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ProgressPacer, WritesAJobOncePerPeriodGiveOrTakeAFifth) {
  ProgressPacer pacer(seconds(10), 1000);
  ProgressPacer::Slot slot;
  TimePoint now{seconds(1)};
  for (uint64_t round = 0; round < 100; ++round) {
    EXPECT_EQ(pacer.Until(slot, round, now), Duration::zero());
    const Duration next = pacer.Until(slot, round, now);
    EXPECT_GE(next, seconds(8));
    EXPECT_LE(next, seconds(12));
    EXPECT_EQ(pacer.Until(slot, round, now + next - milliseconds(1)), milliseconds(1));
    now += next;
  }
}

TEST(ProgressPacer, JobsThatBeganTogetherDoNotStayTogether) {
  ProgressPacer pacer(seconds(10), 1000);
  const TimePoint now{seconds(1)};
  std::map<Duration, int> waits;
  for (uint64_t job = 0; job < 100; ++job) {
    ProgressPacer::Slot slot;
    ASSERT_EQ(pacer.Until(slot, job, now), Duration::zero());
    ++waits[pacer.Until(slot, job, now)];
  }
  EXPECT_GT(waits.size(), 90u);
}

// Three times as many jobs as the rate allows: each waits for its turn, and none is passed over
// however often the others ask.
TEST(ProgressPacer, EveryJobGetsItsTurnInTheOrderOfAsking) {
  ProgressPacer pacer(seconds(1), 10);
  std::vector<ProgressPacer::Slot> slots(30);
  std::vector<TimePoint> ask(slots.size());  // when each asks next
  std::vector<int> writes(slots.size());
  for (TimePoint now{}; now < TimePoint(seconds(60)); now += milliseconds(10)) {
    for (size_t i = 0; i < slots.size(); ++i) {
      if (ask[i] > now) continue;
      const Duration wait = pacer.Until(slots[i], i, now);
      if (wait == Duration::zero()) ++writes[i];
      ask[i] = now + wait;
    }
  }
  int all = 0;
  for (const int each : writes) {
    EXPECT_GE(each, 18);
    EXPECT_LE(each, 22);
    all += each;
  }
  EXPECT_LE(all, 610) << "10 at once, then 10 a second";
}

}  // namespace
}  // namespace longstride
