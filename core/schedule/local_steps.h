// How many local steps H a round takes. Pure, + - * / only.
#pragma once

#include <cstdint>

#include "core/spec/training_job.h"

namespace longstride {

struct LocalStepsInput {
  int64_t samples = 0;  // postLocal: the cursor when the round begins
  // qsr: the learning rate. During warm-up pass the rate that follows it (RateAfterWarmup): a small
  // rate there would mean long strides when they hurt most [Gu et al. 2024].
  double learning_rate = 0;
  double step_seconds = 0;  // auto: predicted seconds of one local step of the slowest worker
  double sync_seconds = 0;  // auto: predicted seconds of one synchronization
  int64_t skew_limit = 0;   // auto: largest H that the skew of local data allows (skew.h); 0 = any
};

// constant   steps
// postLocal  1 before switch_samples, then steps                      [Lin et al. 2020, arXiv
// 1808.07217] qsr        clamp(floor((qsr_coefficient / lr)^2), steps, max_steps) [Gu et al. 2024,
// arXiv 2310.14423] auto       the smallest H with sync <= communication_share * (sync + H * step),
// clamped to [1, max_steps] and to skew_limit.
//            Timings differ between workers, so this one is evaluated once, for the plan.
// The result is >= 1. A rate of 0 gives max_steps; timings that are not finite or negative count as
// 0, and with neither known auto gives 1.
[[nodiscard]] int64_t LocalSteps(const LocalStepsSpec& spec, const LocalStepsInput& input);

}  // namespace longstride
