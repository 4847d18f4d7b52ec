// The layers that the built-in models are made of: plain tensors and calls into ATen, with no
// module tree in between, so that a forward pass costs what its operators cost. A layer shares its
// tensors with the list in LayerModel; rebinding a listed tensor with set_data therefore rebinds
// the layer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/model/model.h"

namespace longstride {

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out]
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x) const;
};

struct Conv {
  at::Tensor weight;  // [out, in, kernel, kernel]
  at::Tensor bias;    // [out], or undefined
  int64_t stride = 1;
  int64_t padding = 0;
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x) const;
};

// Momentum 0.1 and epsilon 1e-5, as PyTorch's default.
struct BatchNorm {
  at::Tensor weight;
  at::Tensor bias;
  at::Tensor running_mean;
  at::Tensor running_var;
  at::Tensor num_batches_tracked;  // int64, a scalar
  // In training normalizes with the batch's own statistics and moves the running ones.
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x, bool training) const;
};

struct LayerNorm {
  at::Tensor weight;
  at::Tensor bias;
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x) const;
};

// x, [n, channels, height, width], with the channels of a pixel side by side in memory.
// Convolutions keep that order, and their operators are faster in it: a CNN's max-pooling 10x (its
// step 1.3x to 1.6x), a ResNet-20's step 1.3x. Only a convolution over one channel is faster
// without; so a network over grey images calls this after its first one.
[[nodiscard]] at::Tensor ChannelsLast(const at::Tensor& x);

// Mean over samples, positions and outputs: cross entropy for int64 targets, squared error for
// float ones.
[[nodiscard]] at::Tensor MeanLoss(const at::Tensor& outputs, const at::Tensor& target);

[[nodiscard]] at::ScalarType ScalarTypeOf(Precision precision);

// Owns the lists of a built-in model. Every parameter draws from a stream of its own, keyed by the
// seed and the parameter's place in the list. Initialization is PyTorch's default of each layer:
// linear and convolution U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weight and bias [kaiming_uniform
// with a = sqrt(5)], norms 1 and 0.
class LayerModel : public Model {
 public:
  [[nodiscard]] std::vector<NamedTensor>& parameters() final { return parameters_; }
  [[nodiscard]] std::vector<NamedTensor>& buffers() final { return buffers_; }
  void SetTraining(bool training) final { training_ = training; }
  [[nodiscard]] at::Tensor Loss(const at::Tensor& outputs, const at::Tensor& target) final {
    return MeanLoss(outputs, target);
  }

 protected:
  LayerModel(Precision precision, uint64_t seed) : type_(ScalarTypeOf(precision)), seed_(seed) {}

  [[nodiscard]] Linear AddLinear(const std::string& name, int64_t in, int64_t out);
  [[nodiscard]] Conv AddConv(const std::string& name, int64_t in, int64_t out, int64_t kernel,
                             int64_t stride, int64_t padding, bool bias);
  [[nodiscard]] BatchNorm AddBatchNorm(const std::string& name, int64_t channels);
  [[nodiscard]] LayerNorm AddLayerNorm(const std::string& name, int64_t width);

  // A single parameter: uniform in [-bound, bound), normal, or one value throughout.
  [[nodiscard]] at::Tensor AddUniform(std::string name, at::IntArrayRef sizes, double bound);
  [[nodiscard]] at::Tensor AddNormal(std::string name, at::IntArrayRef sizes, double deviation);
  [[nodiscard]] at::Tensor AddConstant(std::string name, at::IntArrayRef sizes, double value);

  [[nodiscard]] bool training() const { return training_; }
  [[nodiscard]] at::ScalarType type() const { return type_; }

 private:
  [[nodiscard]] at::Tensor List(std::string name, at::Tensor tensor);
  [[nodiscard]] uint64_t NextStream() const;

  at::ScalarType type_;
  uint64_t seed_;
  bool training_ = true;
  std::vector<NamedTensor> parameters_;
  std::vector<NamedTensor> buffers_;
};

}  // namespace longstride
