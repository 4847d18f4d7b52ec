#include "runtime/data/prefetcher.h"

#include <algorithm>
#include <new>

namespace longstride::data {

Prefetcher::Prefetcher(const Dataset& dataset, int depth)
    : dataset_(dataset),
      depth_(static_cast<size_t>(std::max(depth, 1))),
      thread_([this] { Loop(); }) {}

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Prefetcher::Enqueue(std::vector<int64_t> indices) {
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(indices));
  }
  changed_.notify_all();
}

const Batch* Prefetcher::Next() {
  Recycle();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] {
    return !ready_.empty() || out_of_memory_ || (requests_.empty() && !reading_);
  });
  if (ready_.empty()) return nullptr;
  handed_out_ = std::move(ready_.front());
  ready_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return handed_out_.get();
}

void Prefetcher::Clear() {
  Recycle();
  const std::lock_guard lock(mutex_);
  requests_.clear();
  for (auto& batch : ready_) free_.push_back(std::move(batch));
  ready_.clear();
  out_of_memory_ = false;
  ++epoch_;
}

bool Prefetcher::out_of_memory() const {
  const std::lock_guard lock(mutex_);
  return out_of_memory_;
}

void Prefetcher::Recycle() {
  if (!handed_out_) return;
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(handed_out_));
}

void Prefetcher::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] {
      return stopping_ || (!out_of_memory_ && !requests_.empty() && ready_.size() < depth_);
    });
    if (stopping_) return;
    const std::vector<int64_t> indices = std::move(requests_.front());
    requests_.pop_front();
    std::unique_ptr<Batch> batch;
    if (free_.empty()) {
      batch = std::make_unique<Batch>();
    } else {
      batch = std::move(free_.back());
      free_.pop_back();
    }
    reading_ = true;
    const uint64_t epoch = epoch_;
    lock.unlock();
    bool fits = true;
    try {
      dataset_.Read(indices, *batch);
    } catch (const std::bad_alloc&) {
      fits = false;
    }
    lock.lock();
    reading_ = false;
    if (epoch == epoch_) out_of_memory_ = !fits;
    if (fits) (epoch == epoch_ ? ready_.emplace_back() : free_.emplace_back()) = std::move(batch);
    changed_.notify_all();
  }
}

}  // namespace longstride::data
