// The optimizer of the local steps where the model is on a device (FlatState): the formulas of
// kernels.h by LibTorch's operators over lists of tensors, on state that lives on the device for
// the time of the local steps. InnerOptimizer keeps the state between rounds. Results equal those
// of InnerOptimizer up to rounding. Not thread-safe.
#pragma once

#include <memory>

#include "core/spec/training_job.h"
#include "runtime/training/flat_state.h"
#include "runtime/training/inner_optimizer.h"

namespace longstride {

template <typename T>
class DeviceOptimizer {
 public:
  // `flat` is on a device. Both must outlive this.
  DeviceOptimizer(const OptimizerSpec& spec, FlatState<T>& flat, InnerOptimizer<T>& inner);
  ~DeviceOptimizer();

  void ToDevice();  // the inner optimizer's state
  void ToHost();

  // One step with the gradients that the model has. `clipping` > 0 keeps their global L2 norm at or
  // below it, as torch.nn.utils.clip_grad_norm_.
  void Step(double learning_rate, double clipping);

 private:
  struct State;

  const OptimizerSpec spec_;
  FlatState<T>& flat_;
  InnerOptimizer<T>& inner_;
  std::unique_ptr<State> state_;
};

extern template class DeviceOptimizer<float>;
extern template class DeviceOptimizer<double>;

}  // namespace longstride
