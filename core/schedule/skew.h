// How far H may go when the data differ between workers (docs/adr/0011). Pure, + - * / only, so all
// workers take the same decision from the same numbers.
//
// Over H local steps a worker drifts from the others in two ways: noise carries it about sqrt(H)
// steps of size sigma / sqrt(b), skew always the same way, H steps of size zeta, where zeta^2 is
// the mean of ||grad F_m - grad F||^2. The error bounds of local SGD have both, as H sigma^2 / b
// and H^2 zeta^2 [Koloskova et al. 2020, arXiv 2003.10422, theorem 2]: a longer stride pays until
// the second overtakes the first, at H = (sigma^2 / b) / zeta^2.
#pragma once

#include <cstdint>

#include "core/spec/training_job.h"

namespace longstride {

// Averages over rounds; per-sample variances between workers beyond noise, and within workers.
struct SkewAverage {
  int64_t observed = 0;  // rounds; the first one sets the averages
  double skew = 0;       // may be below 0, by sampling error
  double noise = 0;
  friend bool operator==(const SkewAverage&, const SkewAverage&) = default;
};

// One round on: new average = 0.9 old + 0.1 new. What is not finite changes nothing.
[[nodiscard]] SkewAverage Observe(const SkewAverage& average, double skew, double noise);

// The largest H in [1, max_steps] at which the drift by skew is at most skew_tolerance times the
// drift by noise: skew_tolerance / (skew / noise - 0.1). The tenth is what sampling error alone
// reaches, so data that are alike bound nothing. 0 = no bound, also before the first round.
[[nodiscard]] int64_t SkewLimit(const LocalStepsSpec& spec, const SkewAverage& average);

}  // namespace longstride
