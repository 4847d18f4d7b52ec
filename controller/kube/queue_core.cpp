#include "controller/kube/queue_core.h"

#include <algorithm>
#include <cmath>

namespace longstride::kube {

void QueueCore::Add(const ObjectKey& key) {
  if (shutting_down_ || !dirty_.insert(key).second) return;
  ++adds_;
  if (!processing_.contains(key)) queue_.push_back(key);
}

void QueueCore::AddAfter(const ObjectKey& key, Duration delay, TimePoint now) {
  if (shutting_down_) return;
  if (delay <= Duration::zero()) {
    Add(key);
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
    Add(key);
  }
  if (by_time_.empty()) return std::nullopt;
  return by_time_.begin()->first;
}

std::optional<ObjectKey> QueueCore::Take() {
  if (queue_.empty()) return std::nullopt;
  ObjectKey key = std::move(queue_.front());
  queue_.pop_front();
  processing_.insert(key);
  dirty_.erase(key);
  return key;
}

void QueueCore::Done(const ObjectKey& key) {
  processing_.erase(key);
  if (dirty_.contains(key)) queue_.push_back(key);
}

void QueueCore::ShutDown() {
  shutting_down_ = true;
  due_.clear();
  by_time_.clear();
}

}  // namespace longstride::kube
