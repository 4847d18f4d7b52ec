// How long looks at jobs took, and what came of them. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "core/base/clock.h"

namespace longstride {

// Upper bounds of the buckets, seconds; the last is without bound.
inline constexpr std::array<double, 10> kReconcileBuckets = {0.0005, 0.001, 0.005, 0.01, 0.05,
                                                             0.1,    0.5,   1,     5,    10};

enum class ReconcileResult { kSuccess, kError, kRequeueAfter };
inline constexpr std::array<const char*, 3> kReconcileResults = {"success", "error",
                                                                 "requeue_after"};

struct ReconcileCounts {
  std::array<int64_t, kReconcileBuckets.size() + 1> buckets{};  // not cumulative
  double seconds = 0;
  std::array<int64_t, kReconcileResults.size()> results{};  // by ReconcileResult
  int64_t terminal = 0;                                     // errors that are not tried again
  int64_t active = 0;                                       // that have not ended
};

class ReconcileTimes {
 public:
  void Begin() { ++active_; }
  // `terminal`: an error that is not tried again.
  void End(Duration took, ReconcileResult result, bool terminal = false) {
    const double seconds = ToSeconds(took);
    size_t bucket = 0;
    while (bucket < kReconcileBuckets.size() && seconds > kReconcileBuckets[bucket]) ++bucket;
    ++buckets_[bucket];
    nanoseconds_ += took.count();
    ++results_[static_cast<size_t>(result)];
    if (terminal) ++terminal_;
    --active_;
  }
  [[nodiscard]] ReconcileCounts Read() const {
    ReconcileCounts counts;
    for (size_t i = 0; i < buckets_.size(); ++i) counts.buckets[i] = buckets_[i];
    counts.seconds = ToSeconds(Duration(nanoseconds_.load()));
    for (size_t i = 0; i < results_.size(); ++i) counts.results[i] = results_[i];
    counts.terminal = terminal_;
    counts.active = active_;
    return counts;
  }

 private:
  std::array<std::atomic<int64_t>, kReconcileBuckets.size() + 1> buckets_{};
  std::atomic<int64_t> nanoseconds_{0};
  std::array<std::atomic<int64_t>, kReconcileResults.size()> results_{};
  std::atomic<int64_t> terminal_{0};
  std::atomic<int64_t> active_{0};
};

}  // namespace longstride
