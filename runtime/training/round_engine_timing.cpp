// Timing a step before training, for the worker's profile.
#include <algorithm>
#include <exception>
#include <numeric>

#include "core/base/format.h"
#include "runtime/training/round_engine.h"
#include "runtime/training/stopwatch.h"

namespace longstride {

template <typename T>
Result<double> RoundEngine<T>::TimeStep(int64_t batch, int64_t micro_batch) {
  if (batch < 1 || micro_batch < 1) return BugError("a step needs at least one sample");
  const OptimizerSpec& optimizer = options_.job.spec.training.optimizer;
  FlatState<T>& flat = replica_.flat();
  const std::vector<T> buffers(flat.buffers().begin(), flat.buffers().end());
  const std::vector<int64_t> integers = flat.ReadIntegers();
  const int64_t memory_cap = gradients_.memory_cap();
  const int64_t steps = replica_.inner().steps();
  const auto restore = [&] {
    flat.ClearGradients();
    std::ranges::copy(buffers, flat.buffers().begin());
    flat.WriteIntegers(integers);
    gradients_.set_memory_cap(memory_cap);
    replica_.inner().set_steps(steps);
  };
  try {
    std::vector<int64_t> indices(static_cast<size_t>(batch));
    std::iota(indices.begin(), indices.end(), int64_t{0});
    for (int64_t& i : indices) i %= train_->size();
    Batch samples;
    train_->Read(indices, samples);
    flat.ToDevice();
    AlignedBuffer<T> scratch(replica_.size());
    InnerOptimizer<T> inner(optimizer, replica_.size());

    gradients_.set_cap(micro_batch);
    gradients_.set_memory_cap(INT64_MAX);
    Stopwatch watch;
    double seconds = 0;
    const Result<double> loss = gradients_.Compute(samples, 1, nullptr);
    if (loss.ok() && replica_.on_device()) {
      replica_.on_device()->Step(0.0, 0.0);  // the next round brings state and model anew
    } else if (loss.ok()) {
      inner.Step(scratch.span(), flat.Gradients(), 0.0, 1.0);
    }
    watch.Lap(seconds);
    const bool fitted = gradients_.memory_cap() == INT64_MAX;
    restore();
    if (!loss.ok()) return loss.error();
    if (!fitted)
      return ResourceError(
          Format("a micro-batch of %ld samples does not fit in memory", micro_batch));
    return seconds;
  } catch (const std::exception& e) {
    restore();
    if (!IsOutOfMemory(e)) return BugError(Format("timing a step failed: %s", e.what()));
    return ResourceError(
        Format("a batch of %ld samples does not fit in memory: use a smaller model, or lower "
               "workers[].batch.max",
               batch));
  }
}

template Result<double> RoundEngine<float>::TimeStep(int64_t, int64_t);
template Result<double> RoundEngine<double>::TimeStep(int64_t, int64_t);

}  // namespace longstride
