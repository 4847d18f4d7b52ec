// How long looks at jobs took, and how many have to be repeated. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "core/base/clock.h"

namespace longstride {

// Upper bounds of the buckets, seconds; the last is without bound.
inline constexpr std::array<double, 10> kReconcileBuckets = {0.0005, 0.001, 0.005, 0.01, 0.05,
                                                             0.1,    0.5,   1,     5,    10};

struct ReconcileCounts {
  std::array<int64_t, kReconcileBuckets.size() + 1> buckets{};  // not cumulative
  double seconds = 0;
  int64_t errors = 0;
};

class ReconcileTimes {
 public:
  void Add(Duration took, bool error) {
    const double seconds = ToSeconds(took);
    size_t bucket = 0;
    while (bucket < kReconcileBuckets.size() && seconds > kReconcileBuckets[bucket]) ++bucket;
    ++buckets_[bucket];
    nanoseconds_ += took.count();
    if (error) ++errors_;
  }
  [[nodiscard]] ReconcileCounts Read() const {
    ReconcileCounts counts;
    for (size_t i = 0; i < buckets_.size(); ++i) counts.buckets[i] = buckets_[i];
    counts.seconds = ToSeconds(Duration(nanoseconds_.load()));
    counts.errors = errors_;
    return counts;
  }

 private:
  std::array<std::atomic<int64_t>, kReconcileBuckets.size() + 1> buckets_{};
  std::atomic<int64_t> nanoseconds_{0};
  std::atomic<int64_t> errors_{0};
};

}  // namespace longstride
