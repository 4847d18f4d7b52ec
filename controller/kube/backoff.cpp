#include "controller/kube/backoff.h"

#include <algorithm>

namespace longstride::kube {

Duration Backoff::Next(TimePoint now, Random& random) {
  if (failed_ && now - failed_at_ > options_.reset_after) next_ = options_.first;
  failed_ = true;
  failed_at_ = now;
  const Duration delay = next_;
  next_ = std::min(options_.most, FromSeconds(ToSeconds(next_) * options_.factor));
  return delay + FromSeconds(ToSeconds(delay) * options_.jitter * random.NextUniform());
}

}  // namespace longstride::kube
