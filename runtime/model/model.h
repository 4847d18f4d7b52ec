// A model as the round engine sees it: named parameters and buffers in a fixed order, and a loss
// over a batch. The engine moves the parameters into one flat tensor (see training/flat_state.h)
// before the first forward pass, so a model must reach its parameters only through the tensors it
// lists here.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/spec/training_job.h"
#include "runtime/data/dataset.h"

namespace longstride {

struct NamedTensor {
  std::string name;  // "conv1.weight": PyTorch's names where PyTorch has the layer
  at::Tensor tensor;
};

// A batch as tensors on the model's device. features: float [n, ...] or int64 ids [n, context];
// target: int64 [n] or [n, context], or float [n, outputs].
struct TensorBatch {
  at::Tensor features;
  at::Tensor target;
};

// Not thread-safe. All parameters and float buffers have the dtype that the factory was asked for.
class Model {
 public:
  virtual ~Model() = default;

  // In a fixed order that is the same on every worker. `set_data` may be called on the tensors.
  [[nodiscard]] virtual std::vector<NamedTensor>& parameters() = 0;
  [[nodiscard]] virtual std::vector<NamedTensor>& buffers() = 0;

  // Dropout and batch normalization follow it. Initially training.
  virtual void SetTraining(bool training) = 0;

  // Fewest samples that a training pass can take: two where batch normalization sees one value of
  // each sample per channel.
  [[nodiscard]] virtual int64_t MinBatch() const { return 1; }

  // Outputs for a batch of features: logits [n, classes], [n, context, vocabulary], or values [n,
  // outputs].
  [[nodiscard]] virtual at::Tensor Forward(const at::Tensor& features) = 0;

  // The mean loss over the samples of a batch, a scalar that Backward may be called on.
  [[nodiscard]] virtual at::Tensor Loss(const at::Tensor& outputs, const at::Tensor& target) = 0;
};

// Number of predictions that are right; 0 for regressions. outputs and target as above.
// For tokens, counts positions.
[[nodiscard]] int64_t CountCorrect(const at::Tensor& outputs, const at::Tensor& target);

// Builds the model that `spec` names for data of this shape, with initial parameters drawn from
// `seed` (PyTorch's default initialization of each layer; GPT-2's for gpt). kUser if they do not
// fit together (a CNN over tokens), kData if a script cannot be loaded, is traced, or has no
// parameters.
[[nodiscard]] Result<std::unique_ptr<Model>> MakeModel(const ModelSpec& spec,
                                                       const DataShape& shape, Precision precision,
                                                       uint64_t seed);

}  // namespace longstride
