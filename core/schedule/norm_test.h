// The tests of gradient quality: is the global batch B large enough for the noise that was
// measured? Pure, + - * / only, so that all workers get the same answer.
//
//   norm          sigma^2 / B <= eta^2 ||gbar||^2            [Byrd, Chin, Nocedal, Wu 2012]
//   innerProduct  Var<g, gbar> / B <= theta^2 ||gbar||^4     [Bollapragada, Byrd, Nocedal 2018]
//   augmented     innerProduct, and the noise orthogonal to gbar: (sigma^2 - Var<g, gbar> /
//   ||gbar||^2) / B
//                 <= nu^2 ||gbar||^2                         [ibid.]
//
// Scope. `global` tests the batch that the averaged gradient is made of, B. `local` puts the local
// batch in place of B, as [Lau et al. 2024] test every worker's own batch: b = B / M, the mean
// local batch, must meet the bound by itself, so the batch asked for is M times as large.
#pragma once

#include <cstdint>

#include "core/schedule/noise_statistics.h"
#include "core/spec/training_job.h"

namespace longstride {

// The numbers that a test compares: one round's, or their moving averages.
struct TestTerms {
  double variance = 0;                // sigma^2
  double gradient_norm_squared = 0;   // ||gbar||^2, or corrected; <= 0 = hidden by noise
  double inner_product_variance = 0;  // ignored by the norm test
};

struct TestOutcome {
  bool passed = true;
  // The smallest global batch that passes, in samples, not rounded; infinity when the gradient
  // vanishes beside its noise. When nothing moves at all (no gradient, no noise) it is the current
  // batch.
  double required_batch = 0;
  double ratio = 0;  // required_batch / batch; passed <=> ratio <= 1
};

// `batch` is B >= 1, `workers` M >= 1.
[[nodiscard]] TestOutcome TestBatch(const NormTestSpec& spec, const TestTerms& terms, int64_t batch,
                                    int64_t workers);

}  // namespace longstride
