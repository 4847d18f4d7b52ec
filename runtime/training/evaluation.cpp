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

// Of `n` samples, where the share of `rank` begins.
int64_t ShareBegin(int64_t n, std::span<const int64_t> weights, int64_t rank) {
  const auto total = std::accumulate(weights.begin(), weights.end(), int64_t{0});
  const auto before = std::accumulate(weights.begin(), weights.begin() + rank, int64_t{0});
  return static_cast<int64_t>(static_cast<__int128>(n) * before / total);
}

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
                                  const Dataset& dataset, int64_t batch,
                                  std::span<const int64_t> weights, Collective& collective,
                                  const std::function<void(const OwnWork&)>& begins) {
  const int64_t n = dataset.size(), rank = collective.rank();
  std::array<double, kSums> sums{};
  Status summed;
  model.SetTraining(false);
  for (bool again = true; again;) {
    again = false;
    try {
      sums = SumOver(model, views, dataset, ShareBegin(n, weights, rank),
                     ShareBegin(n, weights, rank + 1), std::max<int64_t>(1, batch), begins);
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
  if (collective.size() > 1)
    LONGSTRIDE_RETURN_IF_ERROR(
        collective.AllReduceSum(std::span<double>(sums), Purpose::kEvaluation));
  return EvaluationResult{.loss = sums[kLosses] / std::max(1.0, sums[kAllSamples]),
                          .accuracy = sums[kRightOnes] / std::max(1.0, sums[kAllPredictions])};
}

template Result<EvaluationResult> Evaluate(Model&, const GradientComputer<float>&, const Dataset&,
                                           int64_t, std::span<const int64_t>, Collective&,
                                           const std::function<void(const OwnWork&)>&);
template Result<EvaluationResult> Evaluate(Model&, const GradientComputer<double>&, const Dataset&,
                                           int64_t, std::span<const int64_t>, Collective&,
                                           const std::function<void(const OwnWork&)>&);

}  // namespace longstride
