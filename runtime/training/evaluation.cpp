#include "runtime/training/evaluation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <new>
#include <numeric>

#include "core/base/format.h"
#include "runtime/data/prefetcher.h"
#include "runtime/model/model.h"

namespace longstride {
namespace {

enum Sum { kLosses, kRightOnes, kAllPredictions, kAllSamples, kSums };

template <typename T>
std::array<double, kSums> SumOver(Model& model, const GradientComputer<T>& views,
                                  const Dataset& dataset, int64_t begin, int64_t end, int64_t batch,
                                  const std::function<void(const OwnWork&)>& begins) {
  at::NoGradGuard no_grad;
  std::array<double, kSums> sums{};
  data::Prefetcher prefetcher(dataset);
  for (int64_t i = begin; i < end; i += batch) {
    std::vector<int64_t> indices(static_cast<size_t>(std::min(batch, end - i)));
    std::iota(indices.begin(), indices.end(), i);
    prefetcher.Enqueue(std::move(indices));
  }
  for (int64_t i = begin; i < end; i += batch) {
    begins({OwnWork::Kind::kEvaluationBatch, (end - i + batch - 1) / batch});
    const Batch* b = prefetcher.Next();
    if (!b) break;
    const TensorBatch view = views.View(*b, 0, b->size);
    const at::Tensor outputs = model.Forward(view.features);
    sums[kLosses] +=
        model.Loss(outputs, view.target).template item<double>() * static_cast<double>(b->size);
    sums[kRightOnes] += static_cast<double>(CountCorrect(outputs, view.target));
    sums[kAllPredictions] += static_cast<double>(view.target.numel());
    sums[kAllSamples] += static_cast<double>(b->size);
  }
  if (prefetcher.out_of_memory()) throw std::bad_alloc();
  return sums;
}

}  // namespace

template <typename T>
Result<EvaluationResult> Evaluate(Model& model, const GradientComputer<T>& views,
                                  const Dataset& dataset, int64_t batch, Collective& collective,
                                  const std::function<void(const OwnWork&)>& begins) {
  const int64_t n = dataset.size(), ranks = collective.size(), rank = collective.rank();
  std::array<double, kSums> sums{};
  Status summed;
  model.SetTraining(false);
  for (bool again = true; again;) {
    again = false;
    try {
      sums = SumOver(model, views, dataset, rank * n / ranks, (rank + 1) * n / ranks,
                     std::max<int64_t>(1, batch), begins);
    } catch (const std::exception& e) {
      again = IsOutOfMemory(e) && batch > 1;
      batch = (batch + 1) / 2;
      if (!again) {
        const std::string what = Format("evaluation failed: %s", e.what());
        summed = IsOutOfMemory(e) ? ResourceError(what) : BugError(what);
      }
    }
  }
  begins({});
  model.SetTraining(true);
  LONGSTRIDE_RETURN_IF_ERROR(summed);
  if (ranks > 1)
    LONGSTRIDE_RETURN_IF_ERROR(
        collective.AllReduceSum(std::span<double>(sums), Purpose::kEvaluation));
  return EvaluationResult{.loss = sums[kLosses] / std::max(1.0, sums[kAllSamples]),
                          .accuracy = sums[kRightOnes] / std::max(1.0, sums[kAllPredictions])};
}

template Result<EvaluationResult> Evaluate(Model&, const GradientComputer<float>&, const Dataset&,
                                           int64_t, Collective&,
                                           const std::function<void(const OwnWork&)>&);
template Result<EvaluationResult> Evaluate(Model&, const GradientComputer<double>&, const Dataset&,
                                           int64_t, Collective&,
                                           const std::function<void(const OwnWork&)>&);

}  // namespace longstride
