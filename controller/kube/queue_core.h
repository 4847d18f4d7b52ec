// The work queue's rules without threads (client-go's workqueue): a key that is added while it
// waits is handled once, one that is added while it is being handled is handled again afterwards,
// never by two at once. Retries wait max(5 ms * 2^failures up to 1000 s, a bucket of 10 a second
// with 100 at once). Measures what client-go's does. Time is an argument. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <vector>

#include "controller/kube/resource.h"
#include "controller/kube/token_bucket.h"
#include "core/base/clock.h"

namespace longstride::kube {

struct QueueOptions {
  Duration first_retry = std::chrono::milliseconds(5);
  Duration longest_retry = std::chrono::seconds(1000);
  double retries_per_second = 10;
  double retry_burst = 100;
};

// Upper bounds of the buckets of durations, seconds; a last one is without bound. Those of
// controller-runtime (pkg/metrics/workqueue.go: ExponentialBuckets(10e-9, 10, 12)).
inline constexpr std::array<double, 12> kQueueBuckets = {1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3,
                                                         1e-2, 1e-1, 1,    10,   100,  1000};

struct QueueDurations {
  std::array<int64_t, kQueueBuckets.size() + 1> buckets{};  // not cumulative
  double seconds = 0;                                       // their sum

  void Add(Duration duration);
};

class QueueCore {
 public:
  explicit QueueCore(QueueOptions options = {})
      : options_(options), bucket_(options.retries_per_second, options.retry_burst) {}

  void Add(const ObjectKey& key, TimePoint now);
  // Adds it once `delay` has passed; the earliest of several counts.
  void AddAfter(const ObjectKey& key, Duration delay, TimePoint now);
  // AddAfter with the delay of a retry.
  void AddRateLimited(const ObjectKey& key, TimePoint now);
  // Its next retry is its first again.
  void Forget(const ObjectKey& key) { failures_.erase(key); }
  [[nodiscard]] int Failures(const ObjectKey& key) const;

  // Moves to the queue what is due. When the next delayed key is due, if there is one.
  std::optional<TimePoint> Advance(TimePoint now);
  // The next key to handle; it is being handled until Done(key).
  [[nodiscard]] std::optional<ObjectKey> Take(TimePoint now);
  void Done(const ObjectKey& key, TimePoint now);

  // From now on nothing is added; what waits to be handled still is.
  void ShutDown();
  [[nodiscard]] bool shutting_down() const { return shutting_down_; }
  // Nothing waits and nothing is being handled.
  [[nodiscard]] bool drained() const { return queue_.empty() && processing_.empty(); }
  [[nodiscard]] size_t waiting() const { return queue_.size(); }
  [[nodiscard]] size_t delayed() const { return due_.size(); }
  // So far: keys that Add took, and calls of AddRateLimited.
  [[nodiscard]] int64_t adds() const { return adds_; }
  [[nodiscard]] int64_t retries() const { return retries_; }
  // From Add to Take; of a key that was added while it was being handled, too.
  [[nodiscard]] const QueueDurations& waited() const { return waited_; }
  // From Take to Done.
  [[nodiscard]] const QueueDurations& worked() const { return worked_; }
  // Since Take, of all keys that are being handled, and of the first of them.
  [[nodiscard]] Duration Unfinished(TimePoint now) const;
  [[nodiscard]] Duration LongestRunning(TimePoint now) const;

 private:
  QueueOptions options_;
  TokenBucket bucket_;
  std::deque<ObjectKey> queue_;
  std::map<ObjectKey, TimePoint> dirty_;       // to be handled, since Add
  std::map<ObjectKey, TimePoint> processing_;  // being handled, since Take
  std::map<ObjectKey, TimePoint> due_;
  std::set<std::pair<TimePoint, ObjectKey>> by_time_;
  std::map<ObjectKey, int> failures_;
  int64_t adds_ = 0;
  int64_t retries_ = 0;
  QueueDurations waited_;
  QueueDurations worked_;
  bool shutting_down_ = false;
};

}  // namespace longstride::kube
