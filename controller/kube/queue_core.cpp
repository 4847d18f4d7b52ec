#include "controller/kube/queue_core.h"

#include <algorithm>
#include <cmath>

namespace longstride::kube {

void QueueDurations::Add(Duration duration) {
  const double each = ToSeconds(duration);
  ++buckets[static_cast<size_t>(std::ranges::lower_bound(kQueueBuckets, each) -
                                kQueueBuckets.begin())];
  seconds += each;
}

void QueueCore::Add(const ObjectKey& key, TimePoint now) {
  if (shutting_down_ || !dirty_.emplace(key, now).second) return;
  ++adds_;
  if (!processing_.contains(key)) queue_.push_back(key);
}

void QueueCore::AddAfter(const ObjectKey& key, Duration delay, TimePoint now) {
  if (shutting_down_) return;
  if (delay <= Duration::zero()) {
    Add(key, now);
    return;
  }
  const TimePoint due = now + delay;
  const auto [known, added] = due_.emplace(key, due);
  if (!added) {
    if (known->second <= due) return;
    by_time_.erase({known->second, key});
    known->second = due;
  }
  by_time_.emplace(due, key);
}

void QueueCore::AddRateLimited(const ObjectKey& key, TimePoint now) {
  ++retries_;
  const int failures = failures_[key]++;
  const double doubled = ToSeconds(options_.first_retry) * std::ldexp(1.0, std::min(failures, 60));
  const Duration own = FromSeconds(std::min(ToSeconds(options_.longest_retry), doubled));
  AddAfter(key, std::max(own, bucket_.Reserve(now)), now);
}

int QueueCore::Failures(const ObjectKey& key) const {
  const auto found = failures_.find(key);
  return found == failures_.end() ? 0 : found->second;
}

std::optional<TimePoint> QueueCore::Advance(TimePoint now) {
  while (!by_time_.empty() && by_time_.begin()->first <= now) {
    const ObjectKey key = by_time_.begin()->second;
    by_time_.erase(by_time_.begin());
    due_.erase(key);
    Add(key, now);
  }
  if (by_time_.empty()) return std::nullopt;
  return by_time_.begin()->first;
}

std::optional<ObjectKey> QueueCore::Take(TimePoint now) {
  if (queue_.empty()) return std::nullopt;
  ObjectKey key = std::move(queue_.front());
  queue_.pop_front();
  const auto added = dirty_.find(key);
  waited_.Add(now - added->second);
  dirty_.erase(added);
  processing_.emplace(key, now);
  return key;
}

void QueueCore::Done(const ObjectKey& key, TimePoint now) {
  const auto taken = processing_.find(key);
  if (taken == processing_.end()) return;
  worked_.Add(now - taken->second);
  processing_.erase(taken);
  if (dirty_.contains(key)) queue_.push_back(key);
}

Duration QueueCore::Unfinished(TimePoint now) const {
  Duration sum{};
  for (const auto& [key, taken] : processing_) sum += now - taken;
  return sum;
}

Duration QueueCore::LongestRunning(TimePoint now) const {
  Duration longest{};
  for (const auto& [key, taken] : processing_) longest = std::max(longest, now - taken);
  return longest;
}

void QueueCore::ShutDown() {
  shutting_down_ = true;
  due_.clear();
  by_time_.clear();
}

}  // namespace longstride::kube
