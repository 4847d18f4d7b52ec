#include "runtime/training/inner_optimizer.h"

#include <algorithm>

#include "runtime/training/kernels.h"

namespace longstride {
namespace {

std::vector<std::string> StateNames(const OptimizerSpec& spec) {
  switch (spec.kind) {
    case OptimizerKind::kSgd:
      return spec.momentum != 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{};
    case OptimizerKind::kAdagrad:
      return {"sum"};
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamw:
      return {"exp_avg", "exp_avg_sq"};
  }
  return {};
}

// base^exponent by repeated squaring: the same bits everywhere, which libm's pow does not promise.
double Power(double base, int64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result *= base;
    base *= base;
  }
  return result;
}

}  // namespace

template <typename T>
InnerOptimizer<T>::InnerOptimizer(const OptimizerSpec& spec, int64_t size)
    : spec_(spec),
      size_(size),
      names_(StateNames(spec)),
      state_(size * static_cast<int64_t>(names_.size())) {}

template <typename T>
void InnerOptimizer<T>::Reset() {
  std::ranges::fill(state(), T{0});
  steps_ = 0;
}

template <typename T>
void InnerOptimizer<T>::Step(std::span<T> w, std::span<const GradientSegment<T>> gradients,
                             double learning_rate, double gradient_scale) {
  ++steps_;
  const kernels::SgdStep sgd{.learning_rate = learning_rate,
                             .momentum = spec_.momentum,
                             .weight_decay = spec_.weight_decay,
                             .gradient_scale = gradient_scale,
                             .nesterov = spec_.nesterov};
  const kernels::AdagradStep adagrad{.learning_rate = learning_rate,
                                     .weight_decay = spec_.weight_decay,
                                     .gradient_scale = gradient_scale,
                                     .epsilon = spec_.epsilon};
  const kernels::AdamStep adam{.learning_rate = learning_rate,
                               .beta1 = spec_.beta1,
                               .beta2 = spec_.beta2,
                               .epsilon = spec_.epsilon,
                               .weight_decay = spec_.weight_decay,
                               .gradient_scale = gradient_scale,
                               .correction1 = 1 - Power(spec_.beta1, steps_),
                               .correction2 = 1 - Power(spec_.beta2, steps_),
                               .decoupled = spec_.kind == OptimizerKind::kAdamw};
  for (const GradientSegment<T>& segment : gradients) {
    const size_t offset = static_cast<size_t>(segment.offset), n = segment.gradient.size();
    const auto state = [&](int64_t k) {
      return names_.empty() ? std::span<T>{} : this->state().subspan(k * size_ + offset, n);
    };
    switch (spec_.kind) {
      case OptimizerKind::kSgd:
        kernels::Sgd(sgd, segment.gradient, w.subspan(offset, n), state(0));
        break;
      case OptimizerKind::kAdagrad:
        kernels::Adagrad(adagrad, segment.gradient, w.subspan(offset, n), state(0));
        break;
      case OptimizerKind::kAdam:
      case OptimizerKind::kAdamw:
        kernels::Adam(adam, segment.gradient, w.subspan(offset, n), state(0), state(1));
        break;
    }
  }
}

template class InnerOptimizer<float>;
template class InnerOptimizer<double>;

}  // namespace longstride
