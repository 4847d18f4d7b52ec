#include "controller/kube/queue_core.h"

#include <gtest/gtest.h>

#include "core/base/random.h"

namespace longstride::kube {
namespace {

const ObjectKey kA{"ns", "a"};
const ObjectKey kB{"ns", "b"};

class QueueCoreTest : public ::testing::Test {
 protected:
  ManualClock clock_;
  QueueCore queue_;
};

TEST_F(QueueCoreTest, AKeyThatWaitsIsHandledOnce) {
  queue_.Add(kA, clock_.Now());
  queue_.Add(kB, clock_.Now());
  queue_.Add(kA, clock_.Now());
  EXPECT_EQ(queue_.Take(clock_.Now()), kA);
  EXPECT_EQ(queue_.Take(clock_.Now()), kB);
  EXPECT_EQ(queue_.Take(clock_.Now()), std::nullopt);
  EXPECT_EQ(queue_.adds(), 2);
}

TEST_F(QueueCoreTest, AKeyAddedWhileItIsHandledIsHandledAgainAfterwardsNeverAtOnce) {
  queue_.Add(kA, clock_.Now());
  EXPECT_EQ(queue_.Take(clock_.Now()), kA);
  queue_.Add(kA, clock_.Now());
  queue_.Add(kA, clock_.Now());
  EXPECT_EQ(queue_.Take(clock_.Now()), std::nullopt);
  queue_.Done(kA, clock_.Now());
  EXPECT_EQ(queue_.Take(clock_.Now()), kA);
  queue_.Done(kA, clock_.Now());
  EXPECT_EQ(queue_.Take(clock_.Now()), std::nullopt);
}

TEST_F(QueueCoreTest, ADelayedKeyComesWhenItIsDueAndTheEarliestDelayCounts) {
  queue_.AddAfter(kA, std::chrono::seconds(10), clock_.Now());
  queue_.AddAfter(kA, std::chrono::seconds(5), clock_.Now());
  queue_.AddAfter(kA, std::chrono::seconds(20), clock_.Now());
  EXPECT_EQ(queue_.Advance(clock_.Now()), clock_.Now() + std::chrono::seconds(5));
  EXPECT_EQ(queue_.Take(clock_.Now()), std::nullopt);
  clock_.Advance(std::chrono::seconds(5));
  EXPECT_EQ(queue_.Advance(clock_.Now()), std::nullopt);
  EXPECT_EQ(queue_.Take(clock_.Now()), kA);
}

TEST_F(QueueCoreTest, RetriesOfAKeyDoubleUntilItIsForgotten) {
  double expected = 0.005;
  for (int i = 0; i < 30; ++i) {
    queue_.AddRateLimited(kA, clock_.Now());
    const auto due = queue_.Advance(clock_.Now());
    ASSERT_TRUE(due);
    EXPECT_NEAR(ToSeconds(*due - clock_.Now()), std::min(expected, 1000.0), 1e-6);
    expected *= 2;
    clock_.Advance(std::chrono::seconds(1001));
    (void)queue_.Advance(clock_.Now());
    queue_.Done(*queue_.Take(clock_.Now()), clock_.Now());
  }
  EXPECT_EQ(queue_.Failures(kA), 30);
  EXPECT_EQ(queue_.retries(), 30);
  queue_.Forget(kA);
  queue_.AddRateLimited(kA, clock_.Now());
  EXPECT_NEAR(ToSeconds(*queue_.Advance(clock_.Now()) - clock_.Now()), 0.005, 1e-9);
}

TEST_F(QueueCoreTest, RetriesOfAllKeysTogetherAreTenASecondAfterAHundred) {
  for (int i = 0; i < 120; ++i) queue_.AddRateLimited({"ns", std::to_string(i)}, clock_.Now());
  clock_.Advance(std::chrono::milliseconds(10));
  (void)queue_.Advance(clock_.Now());
  EXPECT_EQ(queue_.waiting(), 100U);
  clock_.Advance(std::chrono::seconds(1));
  (void)queue_.Advance(clock_.Now());
  EXPECT_EQ(queue_.waiting(), 110U);
}

TEST_F(QueueCoreTest, MeasuresHowLongKeysWaitAndAreHandled) {
  queue_.Add(kA, clock_.Now());
  clock_.Advance(std::chrono::milliseconds(20));
  queue_.Add(kA, clock_.Now());  // it waits since the first time
  clock_.Advance(std::chrono::milliseconds(20));
  EXPECT_EQ(queue_.Take(clock_.Now()), kA);
  EXPECT_NEAR(queue_.waited().seconds, 0.04, 1e-9);
  EXPECT_EQ(queue_.waited().buckets[7], 1) << "more than 10 ms, at most 100 ms";
  clock_.Advance(std::chrono::seconds(3));
  queue_.Add(kB, clock_.Now());
  EXPECT_EQ(queue_.Take(clock_.Now()), kB);
  EXPECT_EQ(queue_.waited().buckets[0], 1) << "it did not wait at all";
  clock_.Advance(std::chrono::seconds(2));
  EXPECT_EQ(queue_.Unfinished(clock_.Now()), std::chrono::seconds(7));
  EXPECT_EQ(queue_.LongestRunning(clock_.Now()), std::chrono::seconds(5));
  queue_.Done(kA, clock_.Now());
  EXPECT_NEAR(queue_.worked().seconds, 5, 1e-9);
  EXPECT_EQ(queue_.worked().buckets[9], 1) << "more than 1 s, at most 10 s";
  EXPECT_EQ(queue_.LongestRunning(clock_.Now()), std::chrono::seconds(2));
}

TEST_F(QueueCoreTest, AKeyAddedWhileItIsHandledWaitsFromThenOn) {
  queue_.Add(kA, clock_.Now());
  EXPECT_EQ(queue_.Take(clock_.Now()), kA);
  queue_.Add(kA, clock_.Now());
  clock_.Advance(std::chrono::hours(1));
  queue_.Done(kA, clock_.Now());
  EXPECT_EQ(queue_.Take(clock_.Now()), kA);
  EXPECT_NEAR(queue_.waited().seconds, 3600, 1e-9);
  EXPECT_EQ(queue_.waited().buckets.back(), 1) << "more than the last bound";
}

TEST_F(QueueCoreTest, ADelayedKeyWaitsFromWhenItIsDue) {
  queue_.AddAfter(kA, std::chrono::seconds(10), clock_.Now());
  clock_.Advance(std::chrono::seconds(10));
  (void)queue_.Advance(clock_.Now());
  EXPECT_EQ(queue_.Take(clock_.Now()), kA);
  EXPECT_EQ(queue_.waited().seconds, 0);
}

TEST_F(QueueCoreTest, AfterShutDownNothingIsAddedAndWhatWaitsIsStillHandled) {
  queue_.Add(kA, clock_.Now());
  queue_.AddAfter(kB, std::chrono::seconds(1), clock_.Now());
  queue_.ShutDown();
  queue_.Add(kB, clock_.Now());
  clock_.Advance(std::chrono::seconds(2));
  (void)queue_.Advance(clock_.Now());
  EXPECT_FALSE(queue_.drained());
  EXPECT_EQ(queue_.Take(clock_.Now()), kA);
  EXPECT_FALSE(queue_.drained());
  queue_.Done(kA, clock_.Now());
  EXPECT_TRUE(queue_.drained());
}

// Thousands of random operations by three workers: no key is ever handled twice at once, and no
// addition is lost (a key is handled at least once after its last addition).
class QueueScheduleTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(QueueScheduleTest, LosesNothingAndHandlesNoKeyTwiceAtOnce) {
  SeededRandom random(GetParam());
  ManualClock clock;
  QueueCore queue;
  std::map<ObjectKey, int64_t> added;    // the step of its last addition
  std::map<ObjectKey, int64_t> handled;  // the step of its last Take
  std::set<ObjectKey> in_hand;
  const auto take = [&](int64_t step) {
    (void)queue.Advance(clock.Now());
    const auto key = queue.Take(clock.Now());
    if (!key) return false;
    EXPECT_TRUE(in_hand.insert(*key).second) << "handled twice at once";
    handled[*key] = step;
    return true;
  };
  const auto finish = [&] {
    const ObjectKey key = *std::next(in_hand.begin(), random.NextBelow(in_hand.size()));
    in_hand.erase(key);
    queue.Done(key, clock.Now());
  };
  int64_t step = 0;
  for (; step < 5000; ++step) {
    const ObjectKey key{"ns", std::to_string(random.NextBelow(8))};
    switch (random.NextBelow(6)) {
      case 0:
        queue.Add(key, clock.Now());
        added[key] = step;
        break;
      case 1:
        queue.AddAfter(key, std::chrono::milliseconds(random.NextBelow(500)), clock.Now());
        added[key] = step;
        break;
      case 2:
        queue.AddRateLimited(key, clock.Now());
        added[key] = step;
        break;
      case 3:
        clock.Advance(std::chrono::milliseconds(random.NextBelow(200)));
        break;
      case 4:
        if (in_hand.size() < 3) (void)take(step);
        break;
      default:
        if (!in_hand.empty()) finish();
    }
  }
  clock.Advance(std::chrono::hours(1000));
  do {
    while (!in_hand.empty()) finish();
  } while (take(step));
  for (const auto& [key, last] : added) EXPECT_GE(handled[key], last) << key.Text();
  EXPECT_TRUE(queue.drained());
}

INSTANTIATE_TEST_SUITE_P(Seeds, QueueScheduleTest, ::testing::Range<uint64_t>(1, 21));

}  // namespace
}  // namespace longstride::kube
