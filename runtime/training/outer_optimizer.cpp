#include "runtime/training/outer_optimizer.h"

#include "runtime/training/kernels.h"

namespace longstride {

template <typename T>
OuterOptimizer<T>::OuterOptimizer(const OuterOptimizerSpec& spec, int64_t size)
    : spec_(spec), velocity_(spec.kind == OuterOptimizerKind::kAverage ? 0 : size) {}

template <typename T>
void OuterOptimizer<T>::Step(std::span<const T> anchor, std::span<const T> update,
                             double inner_learning_rate, std::span<T> w) {
  const std::span<T> v = velocity_.span();
  switch (spec_.kind) {
    case OuterOptimizerKind::kAverage:
      kernels::AddScaled(anchor, update, 1, w);
      return;
    case OuterOptimizerKind::kNesterov:
      kernels::Scale(v, spec_.momentum, v);
      kernels::AddScaled(v, update, -1, v);
      kernels::AddScaled(anchor, v, -spec_.learning_rate * spec_.momentum, w);
      kernels::AddScaled(w, update, spec_.learning_rate, w);
      return;
    case OuterOptimizerKind::kSlowmo:
      kernels::Scale(v, spec_.momentum, v);
      if (inner_learning_rate > 0) kernels::AddScaled(v, update, -1 / inner_learning_rate, v);
      kernels::AddScaled(anchor, v, -spec_.learning_rate * inner_learning_rate, w);
      return;
  }
}

template class OuterOptimizer<float>;
template class OuterOptimizer<double>;

}  // namespace longstride
