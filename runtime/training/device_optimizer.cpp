#include "runtime/training/device_optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/model/model.h"

namespace longstride {
namespace {

using Tensors = std::vector<at::Tensor>;

double ClippingScale(const Tensors& gradients, double limit) {
  const at::Tensor norms = at::stack(at::_foreach_norm(gradients));
  return std::min(1.0, limit / (at::linalg_vector_norm(norms).item<double>() + 1e-6));
}

void Sgd(const OptimizerSpec& spec, double rate, Tensors gradients, const Tensors& w,
         const Tensors& v) {
  if (spec.weight_decay != 0) at::_foreach_add_(gradients, w, spec.weight_decay);
  if (spec.momentum != 0) {
    at::_foreach_mul_(v, spec.momentum);
    at::_foreach_add_(v, gradients);
    if (spec.nesterov) {
      at::_foreach_add_(gradients, v, spec.momentum);
    } else {
      gradients = v;
    }
  }
  at::_foreach_add_(w, gradients, -rate);
}

void Adagrad(const OptimizerSpec& spec, double rate, const Tensors& gradients, const Tensors& w,
             const Tensors& sum) {
  if (spec.weight_decay != 0) at::_foreach_add_(gradients, w, spec.weight_decay);
  at::_foreach_addcmul_(sum, gradients, gradients);
  const Tensors divisor = at::_foreach_sqrt(sum);
  at::_foreach_add_(divisor, spec.epsilon);
  at::_foreach_addcdiv_(w, gradients, divisor, -rate);
}

void Adam(const OptimizerSpec& spec, double rate, int64_t steps, const Tensors& gradients,
          const Tensors& w, const Tensors& m, const Tensors& v) {
  if (spec.kind == OptimizerKind::kAdamw) {
    at::_foreach_mul_(w, 1 - rate * spec.weight_decay);
  } else if (spec.weight_decay != 0) {
    at::_foreach_add_(gradients, w, spec.weight_decay);
  }
  at::_foreach_lerp_(m, gradients, 1 - spec.beta1);
  at::_foreach_mul_(v, spec.beta2);
  at::_foreach_addcmul_(v, gradients, gradients, 1 - spec.beta2);
  const auto count = static_cast<double>(steps);
  const Tensors divisor = at::_foreach_sqrt(v);
  at::_foreach_div_(divisor, std::sqrt(1 - std::pow(spec.beta2, count)));
  at::_foreach_add_(divisor, spec.epsilon);
  at::_foreach_addcdiv_(w, m, divisor, -rate / (1 - std::pow(spec.beta1, count)));
}

}  // namespace

template <typename T>
struct DeviceOptimizer<T>::State {
  at::Tensor flat;               // all of InnerOptimizer::state
  std::vector<Tensors> by_name;  // views: [name][parameter]
};

template <typename T>
DeviceOptimizer<T>::DeviceOptimizer(const OptimizerSpec& spec, FlatState<T>& flat,
                                    InnerOptimizer<T>& inner)
    : spec_(spec), flat_(flat), inner_(inner), state_(std::make_unique<State>()) {
  const auto size = static_cast<int64_t>(flat.parameters().size());
  const auto names = static_cast<int64_t>(inner.state_names().size());
  state_->flat = flat.Placed(
      at::zeros({size * names}, at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value)));
  for (int64_t k = 0; k < names; ++k) {
    state_->by_name.emplace_back();
    for (const TensorPlace& place : flat.parameter_places()) {
      state_->by_name.back().push_back(
          state_->flat.narrow(0, k * size + place.offset, place.size).view(place.shape));
    }
  }
}

template <typename T>
DeviceOptimizer<T>::~DeviceOptimizer() = default;

template <typename T>
void DeviceOptimizer<T>::ToDevice() {
  at::NoGradGuard no_grad;
  state_->flat.copy_(at::from_blob(inner_.state().data(), state_->flat.sizes(),
                                   at::TensorOptions().dtype(state_->flat.scalar_type())));
}

template <typename T>
void DeviceOptimizer<T>::ToHost() {
  at::NoGradGuard no_grad;
  at::from_blob(inner_.state().data(), state_->flat.sizes(),
                at::TensorOptions().dtype(state_->flat.scalar_type()))
      .copy_(state_->flat);
}

template <typename T>
void DeviceOptimizer<T>::Step(double learning_rate, double clipping) {
  at::NoGradGuard no_grad;
  inner_.set_steps(inner_.steps() + 1);
  Tensors w, gradients;
  std::vector<Tensors> state(state_->by_name.size());
  const auto& parameters = flat_.model().parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor& gradient = parameters[i].tensor.grad();
    if (!gradient.defined()) continue;
    w.push_back(parameters[i].tensor);
    gradients.push_back(gradient);
    for (size_t k = 0; k < state.size(); ++k) state[k].push_back(state_->by_name[k][i]);
  }
  if (w.empty()) return;
  if (clipping > 0) at::_foreach_mul_(gradients, ClippingScale(gradients, clipping));
  switch (spec_.kind) {
    case OptimizerKind::kSgd:
      Sgd(spec_, learning_rate, std::move(gradients), w, state.empty() ? Tensors{} : state[0]);
      break;
    case OptimizerKind::kAdagrad:
      Adagrad(spec_, learning_rate, gradients, w, state[0]);
      break;
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamw:
      Adam(spec_, learning_rate, inner_.steps(), gradients, w, state[0], state[1]);
      break;
  }
}

template class DeviceOptimizer<float>;
template class DeviceOptimizer<double>;

}  // namespace longstride
