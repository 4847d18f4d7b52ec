// Jittered exponential back-off. Pure: time and randomness are arguments. Not thread-safe.
#pragma once

#include "core/base/clock.h"
#include "core/base/random.h"

namespace longstride::kube {

struct BackoffOptions {
  Duration first = std::chrono::milliseconds(800);
  Duration most = std::chrono::seconds(30);  // before jitter
  double factor = 2;
  double jitter = 1;  // a delay d becomes uniform in [d, d + jitter * d)
  // Starts over when this much time has passed since the last failure.
  Duration reset_after = std::chrono::minutes(2);
};

class Backoff {
 public:
  explicit Backoff(BackoffOptions options = {}) : options_(options), next_(options.first) {}

  // How long to wait after a failure at `now`.
  [[nodiscard]] Duration Next(TimePoint now, Random& random);

 private:
  BackoffOptions options_;
  Duration next_;
  TimePoint failed_at_{};
  bool failed_ = false;
};

}  // namespace longstride::kube
