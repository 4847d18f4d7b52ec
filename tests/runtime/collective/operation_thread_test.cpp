#include "runtime/collective/operation_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace longstride {
namespace {

using IfStuck = OperationThread::IfStuck;
constexpr auto kLong = std::chrono::hours(1);
// Over whenever the waiting thread looks, as if it had been off the CPU.
constexpr auto kOver = std::chrono::nanoseconds(1);

// An operation that blocks until it is released.
struct Gate {
  std::promise<void> opened;
  std::shared_future<void> open = opened.get_future().share();
  std::atomic<bool> used{false};
  void Open() {
    if (!used.exchange(true)) opened.set_value();
  }
  std::function<Status()> Operation() {
    return [open = open] {
      open.wait();
      return Status(LostPeerError("interrupted"));
    };
  }
};

TEST(OperationThread, RunsOperationsOneAfterAnotherOnTheSameThread) {
  OperationThread thread({}, kLong);
  std::thread::id first, second;
  ASSERT_TRUE(thread
                  .Run(
                      [&] {
                        first = std::this_thread::get_id();
                        return Status();
                      },
                      kLong, IfStuck::kExit)
                  .ok());
  ASSERT_TRUE(thread
                  .Run(
                      [&] {
                        second = std::this_thread::get_id();
                        return Status();
                      },
                      kLong, IfStuck::kExit)
                  .ok());
  EXPECT_EQ(first, second);
  EXPECT_NE(first, std::this_thread::get_id());
}

TEST(OperationThread, IsDeadAfterAFailure) {
  OperationThread thread({}, kLong);
  EXPECT_EQ(thread.Run([] { return Status(UserError("bad")); }, kLong, IfStuck::kExit).error().code,
            ErrorCode::kUser);
  bool ran = false;
  EXPECT_EQ(thread
                .Run(
                    [&] {
                      ran = true;
                      return Status();
                    },
                    kLong, IfStuck::kExit)
                .error()
                .message,
            "bad");
  EXPECT_FALSE(ran);
}

TEST(OperationThread, TheLimitInterruptsTheOperation) {
  Gate gate;
  OperationThread thread({.interrupt = [&] { gate.Open(); }}, kLong);
  EXPECT_EQ(thread.Run(gate.Operation(), std::chrono::milliseconds(5), IfStuck::kExit).error().code,
            ErrorCode::kTransient);
  EXPECT_EQ(OperationThread::Abandoned(), 0);
}

TEST(OperationThread, AnOperationThatGetsOnIsNotInterruptedHoweverLongItTakes) {
  Gate gate;
  std::atomic<uint64_t> moved = 0;
  std::atomic<bool> interrupted = false;
  OperationThread thread({.interrupt = [&] { interrupted = true, gate.Open(); },
                          .bytes_moved =
                              [&] {
                                if (++moved == 10) gate.Open();
                                return moved.load();
                              }},
                         kLong);
  const auto done = [open = gate.open] {
    open.wait();
    return Status();
  };
  EXPECT_TRUE(thread.Run(done, kOver, IfStuck::kExit).ok());
  EXPECT_FALSE(interrupted);
}

TEST(OperationThread, TheLimitBeginsAnewWhenSomethingHasMoved) {
  Gate gate;
  int asked = 0;
  OperationThread thread(
      {.interrupt = [&] { gate.Open(); },
       .bytes_moved = [&] { return static_cast<uint64_t>(std::min(++asked, 3)); }},
      kLong);
  EXPECT_EQ(thread.Run(gate.Operation(), kOver, IfStuck::kExit).error().code,
            ErrorCode::kTransient);
  EXPECT_GE(asked, 4) << "three times it had moved";
}

TEST(OperationThread, AbortInterruptsTheOperation) {
  Gate gate;
  OperationThread thread({.interrupt = [&] { gate.Open(); }}, kLong);
  auto result = std::async(std::launch::async,
                           [&] { return thread.Run(gate.Operation(), kLong, IfStuck::kExit); });
  thread.Abort();
  thread.Abort();
  EXPECT_EQ(result.get().error().code, ErrorCode::kLostPeer);
}

TEST(OperationThread, AHopelessOperationIsALostPeer) {
  Gate gate;
  OperationThread thread({.interrupt = [&] { gate.Open(); }, .is_hopeless = [] { return true; }},
                         kLong);
  EXPECT_EQ(thread.Run(gate.Operation(), kLong, IfStuck::kExit).error().code, ErrorCode::kLostPeer);
}

TEST(OperationThread, AStuckOperationIsLeftBehindAndFreesWhatItOwnsWhenItEnds) {
  Gate gate;
  std::promise<void> released;
  auto thread = std::make_unique<OperationThread>(
      OperationHooks{.release = [&] { released.set_value(); }}, std::chrono::milliseconds(1));
  EXPECT_FALSE(thread->Run(gate.Operation(), Duration::zero(), IfStuck::kLeaveBehind).ok());
  EXPECT_EQ(OperationThread::Abandoned(), 1);
  thread.reset();
  gate.Open();
  released.get_future().wait();
}

TEST(OperationThreadDeathTest, EndsTheProcessWhenItCannotWalkAway) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto stuck_on_callers_memory = [] {
    Gate gate;
    OperationThread thread({}, std::chrono::milliseconds(1));
    (void)thread.Run(gate.Operation(), Duration::zero(), IfStuck::kExit);
  };
  EXPECT_EXIT(stuck_on_callers_memory(), testing::ExitedWithCode(ExitCodeOf(ErrorCode::kTransient)),
              "beyond repair");
  const auto stuck_three_times = [] {
    Gate gate;
    for (int i = 0; i <= OperationThread::kMaxAbandoned; ++i) {
      OperationThread thread({}, std::chrono::milliseconds(1));
      (void)thread.Run(gate.Operation(), Duration::zero(), IfStuck::kLeaveBehind);
    }
  };
  EXPECT_EXIT(stuck_three_times(), testing::ExitedWithCode(ExitCodeOf(ErrorCode::kTransient)),
              "beyond repair");
}

}  // namespace
}  // namespace longstride
