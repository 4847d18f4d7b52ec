#include "runtime/collective/operation_thread.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <thread>

#include "core/base/format.h"
#include "core/base/log.h"

namespace longstride {
namespace {

constexpr Duration kProbeInterval = std::chrono::milliseconds(250);
std::atomic<int> abandoned{0};

}  // namespace

struct OperationThread::State {
  OperationHooks hooks;
  Duration grace{};

  std::mutex mutex;
  std::condition_variable changed;
  std::function<Status()> operation;  // set by Run, taken by the thread
  std::optional<Status> result;       // set by the thread, taken by Run
  std::optional<Error> failure;       // why the object is dead
  bool aborted = false;
  bool stop = false;
  bool left_behind = false;
  uint64_t bytes_moved = 0;  // when last asked, by Run
  std::thread thread;

  void Loop() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return operation || stop; });
      if (!operation) break;
      const auto run = std::exchange(operation, nullptr);
      lock.unlock();
      Status status = run();
      lock.lock();
      result = std::move(status);
      changed.notify_all();
    }
    lock.unlock();
    hooks.release();
    lock.lock();
    if (left_behind) --abandoned;
  }
};

OperationThread::OperationThread(OperationHooks hooks, Duration grace)
    : state_(std::make_shared<State>()) {
  state_->hooks = std::move(hooks);
  state_->grace = grace;
  state_->thread = std::thread([state = state_] { state->Loop(); });
}

OperationThread::~OperationThread() {
  std::unique_lock lock(state_->mutex);
  state_->stop = true;
  state_->changed.notify_all();
  std::thread thread = std::move(state_->thread);
  const bool left_behind = state_->left_behind;
  lock.unlock();
  if (left_behind) {
    thread.detach();  // it holds the state, and waits for an operation that may never return
  } else {
    thread.join();
  }
}

Status OperationThread::Run(std::function<Status()> operation, Duration limit, IfStuck if_stuck) {
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  if (s.failure) return *s.failure;
  if (s.aborted) {
    s.failure = LostPeerError("the collective was aborted");
    return *s.failure;
  }
  s.result.reset();
  s.operation = std::move(operation);
  s.changed.notify_all();
  bool hopeless = false, stuck = false;
  const auto over = [&s] { return s.result.has_value() || s.aborted; };
  TimePoint deadline = std::chrono::steady_clock::now() + limit;
  while (!over() && !hopeless && !stuck) {
    const TimePoint probe = std::chrono::steady_clock::now() + kProbeInterval;
    if (s.changed.wait_until(lock, std::min(deadline, probe), over)) break;
    lock.unlock();
    // Only a look after the deadline tells: this thread may have been off the CPU until then.
    const bool late = std::chrono::steady_clock::now() >= deadline;
    hopeless = s.hooks.is_hopeless();
    const uint64_t moved = s.hooks.bytes_moved();
    if (std::exchange(s.bytes_moved, moved) != moved && limit > Duration::zero()) {
      deadline = std::chrono::steady_clock::now() + limit;
    } else {
      stuck = late;
    }
    lock.lock();
  }
  if (s.result.has_value() && s.result->ok()) return Status();
  Error reason = TransientError(Format("a collective operation has not got on for %s",
                                       FormatSeconds(ToSeconds(limit)).c_str()));
  if (s.aborted) {
    reason = LostPeerError("the collective was aborted");
  } else if (s.result.has_value()) {
    reason = s.result->error();
  } else if (hopeless) {
    reason = LostPeerError("a peer closed its connection during a collective operation");
  }
  s.failure = reason;
  lock.unlock();
  return Interrupt(std::move(reason), if_stuck);
}

Status OperationThread::Interrupt(Error reason, IfStuck if_stuck) {
  State& s = *state_;
  s.hooks.interrupt();
  std::unique_lock lock(s.mutex);
  if (s.changed.wait_for(lock, s.grace, [&] { return s.result.has_value(); })) return reason;
  s.left_behind = true;
  if (++abandoned > kMaxAbandoned || if_stuck == IfStuck::kExit) {
    LogError(
        "collective",
        "a collective operation cannot be interrupted; this process is beyond repair and ends");
    std::_Exit(ExitCodeOf(ErrorCode::kTransient));
  }
  LogWarning("collective",
             "a collective operation could not be interrupted; its thread is left behind");
  return reason;
}

void OperationThread::Abort() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->aborted = true;
    state_->changed.notify_all();
  }
  state_->hooks.interrupt();
}

int OperationThread::Abandoned() {
  return abandoned;
}

}  // namespace longstride
