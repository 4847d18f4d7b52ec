#include "controller/kube/work_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <map>
#include <set>

namespace longstride::kube {
namespace {

const ObjectKey kA{"ns", "a"};

class WorkQueueTest : public ::testing::Test {
 protected:
  const SystemClock clock_{};
  WorkQueue queue_{clock_};
};

TEST_F(WorkQueueTest, ATakerWaitsForAKeyAndForADelay) {
  std::thread adder([&] { queue_.AddAfter(kA, std::chrono::milliseconds(1)); });
  EXPECT_EQ(queue_.Take(), kA);
  adder.join();
}

TEST_F(WorkQueueTest, ShutDownWakesTakers) {
  std::thread taker([&] { EXPECT_EQ(queue_.Take(), std::nullopt); });
  queue_.ShutDown();
  taker.join();
}

TEST_F(WorkQueueTest, DrainWaitsForWhatIsBeingHandled) {
  queue_.Add(kA);
  EXPECT_EQ(queue_.Take(), kA);
  EXPECT_FALSE(queue_.Drain(Duration::zero()));
  std::thread worker([&] { queue_.Done(kA); });
  EXPECT_TRUE(queue_.Drain(std::chrono::seconds(60)));
  worker.join();
}

// Handles each key a set number of times, as its outcomes say.
TEST_F(WorkQueueTest, WorkersFollowOutcomes) {
  std::mutex mutex;
  std::map<std::string, int> handled;
  std::condition_variable changed;
  const Workers workers(queue_, 4, [&](const ObjectKey& key) {
    const std::lock_guard lock(mutex);
    const int times = ++handled[key.name];
    changed.notify_all();
    if (key.name == "retry") return times < 3 ? Outcome::Retry() : Outcome::Done();
    if (key.name == "after") {
      return times < 3 ? Outcome::After(std::chrono::milliseconds(1)) : Outcome::Done();
    }
    return key.name == "terminal" ? Outcome::Terminal() : Outcome::Done();
  });
  for (const char* name : {"retry", "after", "terminal", "done"}) queue_.Add({"ns", name});
  std::unique_lock lock(mutex);
  EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] {
    return handled["retry"] == 3 && handled["after"] == 3 && handled["terminal"] == 1 &&
           handled["done"] == 1;
  }));
}

TEST_F(WorkQueueTest, ARetryComesAtTheLatestWhenItWasAskedFor) {
  QueueOptions slow;
  slow.first_retry = std::chrono::hours(1);
  slow.longest_retry = std::chrono::hours(2);
  WorkQueue queue(clock_, slow);
  std::atomic<int> handled = 0;
  std::latch twice(2);
  const Workers workers(queue, 1, [&](const ObjectKey&) {
    if (++handled <= 2) twice.count_down();
    return handled < 2 ? Outcome::Retry(std::chrono::milliseconds(1)) : Outcome::Done();
  });
  queue.Add({"ns", "failing"});
  twice.wait();
  EXPECT_EQ(queue.counts().retries, 1);
}

TEST(WorkQueueMeasures, TimeByItsClock) {
  ManualClock clock;
  WorkQueue queue(clock);
  queue.Add(kA);
  clock.Advance(std::chrono::seconds(2));
  EXPECT_EQ(queue.Take(), kA);
  clock.Advance(std::chrono::seconds(3));
  EXPECT_EQ(queue.counts().waited.seconds, 2);
  EXPECT_EQ(queue.counts().unfinished_seconds, 3);
  EXPECT_EQ(queue.counts().longest_seconds, 3);
  queue.Done(kA);
  EXPECT_EQ(queue.counts().worked.seconds, 3);
  EXPECT_EQ(queue.counts().unfinished_seconds, 0);
}

TEST_F(WorkQueueTest, AKeyIsNeverHandledByTwoWorkers) {
  std::mutex mutex;
  std::set<ObjectKey> in_hand;
  std::atomic<int> handled{0};
  {
    const Workers workers(queue_, 4, [&](const ObjectKey& key) {
      {
        const std::lock_guard lock(mutex);
        EXPECT_TRUE(in_hand.insert(key).second);
      }
      std::this_thread::yield();
      ++handled;
      const std::lock_guard lock(mutex);
      in_hand.erase(key);
      return Outcome::Done();
    });
    for (int i = 0; i < 2000; ++i) queue_.Add({"ns", std::to_string(i % 5)});
    EXPECT_TRUE(queue_.Drain(std::chrono::seconds(60)));
  }
  EXPECT_GE(handled, 5);
}

}  // namespace
}  // namespace longstride::kube
