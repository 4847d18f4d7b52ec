// The growth policy on top of the norm test: from this round's statistics to the next global batch.
// State is a plain value that is committed and checkpointed with the round. Pure, + - * / only, so
// all workers take the same decision from the same numbers.
#pragma once

#include <cstdint>

#include "core/schedule/noise_statistics.h"
#include "core/schedule/norm_test.h"
#include "core/spec/training_job.h"

namespace longstride {

// Exponential moving averages over rounds, of numerators and denominators separately (an average of
// their ratio would be biased). Units as in NoiseStatistics.
struct NoiseAverages {
  double variance = 0;
  double gradient_norm_squared = 0;   // as observed, noise included
  double corrected_norm_squared = 0;  // CorrectedNormSquared; may be below 0
  double inner_product_variance = 0;  // 0 while not measured
};

struct GrowthState {
  int64_t batch = 1;     // B, samples per local step over all workers
  int64_t observed = 0;  // rounds that entered the averages; the first one sets them
  int64_t skipped = 0;   // rounds whose statistics were not finite, and changed nothing
  NoiseAverages average;
};

// Bounds of B that hold whatever the test says: between the sums of the present workers' batch
// bounds, and at most limits.maxGlobalBatch. 1 <= min <= max.
struct GlobalBatchLimits {
  int64_t min = 1;
  int64_t max = 8192;
};

struct GrowthStep {
  GrowthState next;
  bool skipped = false;  // the statistics were not finite
  TestOutcome outcome;   // of the averages against the old B; as default when skipped
};

// B of the next round where no limit binds: with policy `fixed` always `spec.initial`, so that a B
// that had to be less comes back with the workers.
[[nodiscard]] int64_t WantedBatch(const BatchSpec& spec, const GrowthState& state);

// Before the first round: `spec.initial`, brought within `limits`.
[[nodiscard]] GrowthState InitialGrowth(const BatchSpec& spec, const GlobalBatchLimits& limits);

// One round on. In this order:
//   1. statistics that the chosen test needs and that are not finite (or a negative variance) leave
//   the
//      state as it was, with `skipped` one higher;
//   2. new average = ema * old + (1 - ema) * this round's;
//   3. the test is made on the averages against the current B;
//   4. B grows to ceil(required) if required > (1 + hysteresis) B; where the policy is not monotone
//   it
//      shrinks to ceil(required) if required < (1 - hysteresis) B;
//   5. by at most a factor of max_growth either way (but always by at least one sample);
//   6. `limits` come last and also hold when nothing else changes B: a monotone batch still shrinks
//   when
//      the workers that are left cannot hold it.
// With policy `fixed` the averages and the outcome are computed for the reports, and the next B is
// `spec.initial` within `limits`.
[[nodiscard]] GrowthStep Advance(const BatchSpec& spec, const GrowthState& state,
                                 const NoiseStatistics& statistics,
                                 const GlobalBatchLimits& limits);

}  // namespace longstride
