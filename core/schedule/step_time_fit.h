// Fits a worker's step time t(b) = alpha * ceil(b / c) + beta * b to measured points, some of which
// are outliers (a busy neighbour, a page fault). Pure and deterministic.
#pragma once

#include <cstdint>
#include <span>

#include "core/base/result.h"

namespace longstride {

struct StepTimePoint {
  int64_t batch = 0;   // samples, >= 1
  double seconds = 0;  // > 0
};

struct StepTimeFit {
  double alpha = 0;           // seconds per micro-batch, >= 0
  double beta = 0;            // seconds per sample, >= 0
  int64_t used = 0;           // points that the fit rests on
  int64_t dropped = 0;        // outliers and invalid points
  double relative_error = 0;  // median of |predicted / measured - 1| over the points used
};

// First the least sum of absolute relative residuals under alpha, beta >= 0 (found exactly: its
// minimum passes through two points, or through one on a bound), which up to nearly half of
// outliers cannot move far; then points farther off than 3 scaled median absolute deviations (at
// least 2 %) are dropped and the rest fitted by non-negative least squares of relative residuals.
// Where the points cannot tell alpha from beta (one batch size, or only multiples of c), all time
// goes to beta. Meant for at most a few hundred points (cubic). `micro_batch` is c >= 1. Error:
// kData when no point is valid.
[[nodiscard]] Result<StepTimeFit> FitStepTime(std::span<const StepTimePoint> points,
                                              int64_t micro_batch);

}  // namespace longstride
