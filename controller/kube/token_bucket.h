// A token bucket: `burst` at once, `per_second` in the long run. Pure: time is an argument. Not
// thread-safe.
#pragma once

#include <optional>

#include "core/base/clock.h"

namespace longstride::kube {

class TokenBucket {
 public:
  // Full at first. `per_second` > 0, `burst` >= 1.
  TokenBucket(double per_second, double burst)
      : per_second_(per_second), burst_(burst), tokens_(burst) {}

  // Takes one token now or in advance; how long to wait before acting on it.
  [[nodiscard]] Duration Reserve(TimePoint now);
  // The same, but takes none if the wait would be longer than `most`.
  [[nodiscard]] std::optional<Duration> ReserveWithin(TimePoint now, Duration most);
  // Takes one if there is one.
  [[nodiscard]] bool TryTake(TimePoint now);

 private:
  void Fill(TimePoint now);

  double per_second_;
  double burst_;
  double tokens_;  // negative: taken in advance
  TimePoint filled_at_{};
  bool started_ = false;
};

}  // namespace longstride::kube
