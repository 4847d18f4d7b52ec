// Loss and accuracy over the evaluation set in evaluation mode, each rank over its share of the
// samples.
#pragma once

#include <cstdint>
#include <span>

#include "core/base/result.h"
#include "runtime/collective/collective.h"
#include "runtime/data/dataset.h"
#include "runtime/training/gradient.h"

namespace longstride {

struct EvaluationResult {
  double loss = 0;      // mean over samples
  double accuracy = 0;  // right predictions over all (positions, for tokens); 0 for regressions
};

// Each rank of `collective` takes a part of the samples in proportion to its weight, in batches of
// at most `batch`. `weights` by rank, the same on all and not all 0; sums are fp64, so the result
// equals that of one rank to rounding, and is the same bits on all ranks. `model` is back in
// training mode afterwards. Errors: of the collective; kBug when the forward pass fails.
template <typename T>
[[nodiscard]] Result<EvaluationResult> Evaluate(Model& model, const GradientComputer<T>& views,
                                                const Dataset& dataset, int64_t batch,
                                                std::span<const int64_t> weights,
                                                Collective& collective);

extern template Result<EvaluationResult> Evaluate(Model&, const GradientComputer<float>&,
                                                  const Dataset&, int64_t, std::span<const int64_t>,
                                                  Collective&);
extern template Result<EvaluationResult> Evaluate(Model&, const GradientComputer<double>&,
                                                  const Dataset&, int64_t, std::span<const int64_t>,
                                                  Collective&);

}  // namespace longstride
