// The optimizer of the local steps: SGD (momentum, Nesterov), Adagrad, Adam, AdamW, with PyTorch's
// formulas (kernels.h), over flat vectors. Its state is local to a worker and starts at zero. All
// parameters share one step count. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/spec/training_job.h"
#include "runtime/training/aligned_buffer.h"

namespace longstride {

// Where backward left the gradient of elements [offset, offset + gradient.size()) of the flat
// parameters.
template <typename T>
struct GradientSegment {
  int64_t offset = 0;
  std::span<const T> gradient;
};

template <typename T>
class InnerOptimizer {
 public:
  InnerOptimizer(const OptimizerSpec& spec, int64_t size);

  // One step on the flat parameters `w`. `gradient_scale` multiplies each gradient first
  // (clipping). Elements that no segment covers are left alone, as PyTorch leaves parameters
  // without a gradient.
  void Step(std::span<T> w, std::span<const GradientSegment<T>> gradients, double learning_rate,
            double gradient_scale);

  // State to zero, step count included.
  void Reset();

  // "momentum"; "sum"; or "exp_avg" and "exp_avg_sq": empty for SGD without momentum. One flat
  // vector holds them all, the k-th name at [k * size, (k + 1) * size).
  [[nodiscard]] const std::vector<std::string>& state_names() const { return names_; }
  [[nodiscard]] std::span<T> state() const { return state_.span(); }

  // Steps taken since the state was zero; Adam's bias correction follows from it.
  [[nodiscard]] int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  OptimizerSpec spec_;
  int64_t size_;
  std::vector<std::string> names_;
  AlignedBuffer<T> state_;
  int64_t steps_ = 0;
};

extern template class InnerOptimizer<float>;
extern template class InnerOptimizer<double>;

}  // namespace longstride
