// QueueCore for threads, and the workers that empty it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "controller/kube/queue_core.h"
#include "core/base/clock.h"

namespace longstride::kube {

// The metrics workqueue_*.
struct QueueCounts {
  int64_t depth = 0;    // keys that wait to be handled
  int64_t adds = 0;     // keys that were added while they did not wait
  int64_t retries = 0;  // keys that were put back after a failure
  QueueDurations waited;
  QueueDurations worked;
  double unfinished_seconds = 0;  // that the keys in hand have been there, together
  double longest_seconds = 0;     // ... and the first of them
};

// Thread-safe. `clock` must be thread-safe and outlive the queue.
class WorkQueue {
 public:
  explicit WorkQueue(const Clock& clock, QueueOptions options = {})
      : clock_(clock), core_(options) {}

  void Add(const ObjectKey& key);
  void AddAfter(const ObjectKey& key, Duration delay);
  void AddRateLimited(const ObjectKey& key);
  void Forget(const ObjectKey& key);
  [[nodiscard]] int Failures(const ObjectKey& key) const;
  // Blocks until there is one; nullopt once the queue is shut down and nothing waits.
  [[nodiscard]] std::optional<ObjectKey> Take();
  void Done(const ObjectKey& key);

  void ShutDown();
  // ShutDown, then waits until all that was added has been handled; false after `deadline`.
  [[nodiscard]] bool Drain(Duration deadline);
  [[nodiscard]] QueueCounts counts() const;

 private:
  template <typename Change>
  void Mutate(Change change);

  const Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  QueueCore core_;
};

// What became of a key.
struct Outcome {
  enum class Kind {
    kDone,     // forget its failures
    kAfter,    // the same, and handle it again after `delay`
    kRetry,    // failed: handle it again, rate-limited, but after `delay` at the latest, if given
    kTerminal  // failed, and trying again is of no use
  };
  Kind kind = Kind::kDone;
  Duration delay{};

  [[nodiscard]] static Outcome Done() { return {}; }
  [[nodiscard]] static Outcome After(Duration delay) { return {Kind::kAfter, delay}; }
  [[nodiscard]] static Outcome Retry(Duration at_latest = {}) { return {Kind::kRetry, at_latest}; }
  [[nodiscard]] static Outcome Terminal() { return {Kind::kTerminal, {}}; }
};

// Threads that take keys and hand them to `handle`, a key never to two at once. They end when the
// queue is shut down; the destructor shuts it down and waits for them.
class Workers {
 public:
  using Handle = std::function<Outcome(const ObjectKey& key)>;
  Workers(WorkQueue& queue, int threads, Handle handle);
  ~Workers();

 private:
  void Run();

  WorkQueue& queue_;
  const Handle handle_;
  std::vector<std::thread> threads_;
};

}  // namespace longstride::kube
