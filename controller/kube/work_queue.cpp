#include "controller/kube/work_queue.h"

namespace longstride::kube {

template <typename Change>
void WorkQueue::Mutate(Change change) {
  {
    const std::lock_guard lock(mutex_);
    change();
  }
  changed_.notify_all();
}

void WorkQueue::Add(const ObjectKey& key) {
  Mutate([&] { core_.Add(key, clock_.Now()); });
}

void WorkQueue::AddAfter(const ObjectKey& key, Duration delay) {
  Mutate([&] { core_.AddAfter(key, delay, clock_.Now()); });
}

void WorkQueue::AddRateLimited(const ObjectKey& key) {
  Mutate([&] { core_.AddRateLimited(key, clock_.Now()); });
}

void WorkQueue::Forget(const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  core_.Forget(key);
}

int WorkQueue::Failures(const ObjectKey& key) const {
  const std::lock_guard lock(mutex_);
  return core_.Failures(key);
}

std::optional<ObjectKey> WorkQueue::Take() {
  std::unique_lock lock(mutex_);
  while (true) {
    const TimePoint now = clock_.Now();
    const std::optional<TimePoint> next = core_.Advance(now);
    if (std::optional<ObjectKey> key = core_.Take(now)) return key;
    // A key that is being handled may have been added again: whoever handles it takes it.
    if (core_.shutting_down()) return std::nullopt;
    if (next) {
      changed_.wait_for(lock, *next - now);
    } else {
      changed_.wait(lock);
    }
  }
}

void WorkQueue::Done(const ObjectKey& key) {
  Mutate([&] { core_.Done(key, clock_.Now()); });
}

void WorkQueue::ShutDown() {
  Mutate([&] { core_.ShutDown(); });
}

bool WorkQueue::Drain(Duration deadline) {
  ShutDown();
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, deadline, [&] { return core_.drained(); });
}

QueueCounts WorkQueue::counts() const {
  const std::lock_guard lock(mutex_);
  const TimePoint now = clock_.Now();
  return {static_cast<int64_t>(core_.waiting()),
          core_.adds(),
          core_.retries(),
          core_.waited(),
          core_.worked(),
          ToSeconds(core_.Unfinished(now)),
          ToSeconds(core_.LongestRunning(now))};
}

Workers::Workers(WorkQueue& queue, int threads, Handle handle)
    : queue_(queue), handle_(std::move(handle)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

Workers::~Workers() {
  queue_.ShutDown();
  for (std::thread& thread : threads_) thread.join();
}

void Workers::Run() {
  while (const std::optional<ObjectKey> key = queue_.Take()) {
    const Outcome outcome = handle_(*key);
    switch (outcome.kind) {
      case Outcome::Kind::kDone:
      case Outcome::Kind::kTerminal:
        queue_.Forget(*key);
        break;
      case Outcome::Kind::kAfter:
        queue_.Forget(*key);
        queue_.AddAfter(*key, outcome.delay);
        break;
      case Outcome::Kind::kRetry:
        queue_.AddRateLimited(*key);
        if (outcome.delay > Duration::zero()) queue_.AddAfter(*key, outcome.delay);
        break;
    }
    queue_.Done(*key);
  }
}

}  // namespace longstride::kube
