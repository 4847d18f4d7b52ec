// The learning rate of a local step: a schedule over progress in samples, times a coupling to the
// batch. Only + - * / and square root in fixed order, and CosPi below in place of libm's cosine, so
// the rate is the same bits on every x86-64 machine.
#pragma once

#include <cstdint>

#include "core/spec/training_job.h"

namespace longstride {

// cos(pi * x) for x in [0, 1]: folded into [0, 1/4] and summed as a Taylor polynomial in Horner
// form, in fixed order. Exact at 0, 1/2 and 1; elsewhere within 3e-16 of the true value.
[[nodiscard]] double CosPi(double x);

// Where a step stands in the schedule. Both in samples.
struct ScheduleProgress {
  // Samples done before this step (lost ones only once they are read again), or with adascale the
  // sum of gain * B0 over the steps so far.
  double position = 0;
  double step = 0;  // what this step adds (ProgressOfStep)
};

// The scheduled rate, before coupling: warm-up rises linearly and its first step is not 0 (it takes
// (position + step) / warmup_samples); constant, cosine, linear and step then run in samples, so
// that an adaptive batch does not stretch them. cosine and linear fall from `value` at the end of
// the warm-up to final_fraction * value at decay_samples (0: `max_samples`; both 0: no decay), and
// stay there.
[[nodiscard]] double ScheduledRate(const LearningRateSpec& spec, int64_t max_samples,
                                   const ScheduleProgress& progress);

// The scheduled rate at `position`, or just after the warm-up while it lasts; for LocalStepsInput.
[[nodiscard]] double RateAfterWarmup(const LearningRateSpec& spec, int64_t max_samples,
                                     double position);

// AdaScale's gain in [min(1, S), max(1, S)], S = batch / initial_batch, initial_batch = B0:
// (s2 + mu2) / (s2 / S + mu2) with s2 = variance / B0 and mu2 = max(0, corrected_norm_squared), the
// latter ||gbar||^2 - variance / samples [Johnson et al. 2020, arXiv 2007.05105]. Pass the moving
// averages of GrowthState, as the paper smooths both. 1 when they are not finite or there is no
// noise.
[[nodiscard]] double AdaScaleGain(double variance, double corrected_norm_squared, int64_t batch,
                                  int64_t initial_batch);

// The factor on the scheduled rate: none 1, linear S, sqrt sqrt(S), adascale `gain`.
[[nodiscard]] double CouplingFactor(CouplingKind coupling, int64_t batch, int64_t initial_batch,
                                    double gain);

// Progress in samples that one step of `batch` makes in the schedule: adascale gain * B0, otherwise
// batch.
[[nodiscard]] double ProgressOfStep(CouplingKind coupling, int64_t batch, int64_t initial_batch,
                                    double gain);

}  // namespace longstride
