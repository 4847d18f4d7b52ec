// Loss and accuracy over the evaluation set in evaluation mode, each rank over its share of the
// samples.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/base/result.h"
#include "runtime/collective/collective.h"
#include "runtime/data/dataset.h"
#include "runtime/training/control_channel.h"
#include "runtime/training/gradient.h"

namespace longstride {

struct EvaluationResult {
  double loss = 0;      // mean over samples
  double accuracy = 0;  // right predictions over all (positions, for tokens); 0 for regressions
};

// Each rank of `collective` takes a part of the samples in proportion to its weight, in batches of
// at most `batch`. `weights` by rank, the same on all and not all 0; sums are fp64, so the result
// equals that of one rank to rounding, and is the same bits on all ranks. `model` is back in
// training mode afterwards. `begins` is told of each batch before it is read, and that there is
// none any more before the ranks' sums are added. Errors: of the collective; kBug when the forward
// pass fails.
template <typename T>
[[nodiscard]] Result<EvaluationResult> Evaluate(Model& model, const GradientComputer<T>& views,
                                                const Dataset& dataset, int64_t batch,
                                                std::span<const int64_t> weights,
                                                Collective& collective,
                                                const std::function<void(const OwnWork&)>& begins);

extern template Result<EvaluationResult> Evaluate(Model&, const GradientComputer<float>&,
                                                  const Dataset&, int64_t, std::span<const int64_t>,
                                                  Collective&,
                                                  const std::function<void(const OwnWork&)>&);
extern template Result<EvaluationResult> Evaluate(Model&, const GradientComputer<double>&,
                                                  const Dataset&, int64_t, std::span<const int64_t>,
                                                  Collective&,
                                                  const std::function<void(const OwnWork&)>&);

}  // namespace longstride
