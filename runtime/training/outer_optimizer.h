// The outer optimizer: from the anchor w_k and the averaged update mean Delta to w_{k+1}. Every
// worker runs it on the same bits, so its velocity is common state. Not thread-safe.
//
//   average   w = w_k + mean Delta                                   local SGD [Stich 2018]
//   nesterov  v = momentum v - mean Delta, w = w_k - lr (momentum v - mean Delta)
//             SGD with Nesterov momentum on the outer gradient -mean Delta, DiLoCo [Douillard et
//             al. 2023, algorithm 1], with torch.optim.SGD's form of Nesterov
//   slowmo    v = momentum v - mean Delta / gamma, w = w_k - lr gamma v
//             [Wang et al. 2019, eq. 2, 3]; gamma is the inner learning rate (the round's mean);
//             at gamma = 0 there is no update
#pragma once

#include <cstdint>
#include <span>

#include "core/spec/training_job.h"
#include "runtime/training/aligned_buffer.h"

namespace longstride {

template <typename T>
class OuterOptimizer {
 public:
  OuterOptimizer(const OuterOptimizerSpec& spec, int64_t size);

  // Writes w_{k+1} into `w`. `update` is mean Delta. The three do not overlap. Cannot fail.
  void Step(std::span<const T> anchor, std::span<const T> update, double inner_learning_rate,
            std::span<T> w);

  // Velocity, size elements; empty for average.
  [[nodiscard]] std::span<T> state() const { return velocity_.span(); }

 private:
  OuterOptimizerSpec spec_;
  AlignedBuffer<T> velocity_;
};

extern template class OuterOptimizer<float>;
extern template class OuterOptimizer<double>;

}  // namespace longstride
