// The work queue's rules without threads (client-go's workqueue): a key that is added while it
// waits is handled once, one that is added while it is being handled is handled again afterwards,
// never by two at once. Retries wait max(5 ms * 2^failures up to 1000 s, a bucket of 10 a second
// with 100 at once). Time is an argument. Not thread-safe.
#pragma once

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

class QueueCore {
 public:
  explicit QueueCore(QueueOptions options = {})
      : options_(options), bucket_(options.retries_per_second, options.retry_burst) {}

  void Add(const ObjectKey& key);
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
  [[nodiscard]] std::optional<ObjectKey> Take();
  void Done(const ObjectKey& key);

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

 private:
  QueueOptions options_;
  TokenBucket bucket_;
  std::deque<ObjectKey> queue_;
  std::set<ObjectKey> dirty_;       // to be handled
  std::set<ObjectKey> processing_;  // being handled
  std::map<ObjectKey, TimePoint> due_;
  std::set<std::pair<TimePoint, ObjectKey>> by_time_;
  std::map<ObjectKey, int> failures_;
  int64_t adds_ = 0;
  int64_t retries_ = 0;
  bool shutting_down_ = false;
};

}  // namespace longstride::kube
