#include "core/base/clock.h"

namespace longstride {

TimePoint SystemClock::Now() const {
  return std::chrono::steady_clock::now();
}

double SystemClock::UnixSeconds() const {
  return ToSeconds(std::chrono::system_clock::now().time_since_epoch());
}

}  // namespace longstride
