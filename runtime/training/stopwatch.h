// Splits a stretch of wall time among activities, for reports only: no decision of the engine reads
// it.
#pragma once

#include "core/base/clock.h"

namespace longstride {

class Stopwatch {
 public:
  Stopwatch() : start_(clock_.Now()), last_(start_) {}
  // Adds the time since the previous lap (or the start) to `activity`.
  void Lap(double& activity) {
    const TimePoint now = clock_.Now();
    activity += ToSeconds(now - last_);
    last_ = now;
  }
  [[nodiscard]] double Total() const { return ToSeconds(last_ - start_); }  // up to the last lap

 private:
  SystemClock clock_;
  TimePoint start_;
  TimePoint last_;
};

}  // namespace longstride
