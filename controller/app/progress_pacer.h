// When the progress of jobs may be written into their status: once in a period for each, and at a
// rate that is bounded for all. Thread-safe, for different slots at once.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>

#include "controller/kube/token_bucket.h"
#include "core/base/clock.h"

namespace longstride {

class ProgressPacer {
 public:
  // What is held for one job.
  struct Slot {
    TimePoint not_before{};
    // When the rate of all lets it, once it was asked for: a turn of its own, in the order of
    // asking. Whoever tried again and again might come too late every time.
    std::optional<TimePoint> turn;
  };

  // Periods are jittered by a fifth, so that jobs that began together do not stay together.
  ProgressPacer(Duration period, double writes_per_second);

  // How long to wait and then ask again; zero: write now, and the slot's next period has begun.
  // `seed` tells jobs and their writes apart.
  [[nodiscard]] Duration Until(Slot& slot, uint64_t seed, TimePoint now);

 private:
  const Duration period_;
  std::mutex mutex_;
  kube::TokenBucket budget_;
};

}  // namespace longstride
