#include "runtime/model/layers.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <span>
#include <utility>

#include "core/base/random.h"
#include "runtime/model/initialization.h"

namespace longstride {
namespace {

constexpr double kBatchNormMomentum = 0.1;
constexpr double kEpsilon = 1e-5;

template <typename T>
std::span<T> Elements(at::Tensor& tensor) {
  return {tensor.mutable_data_ptr<T>(), static_cast<size_t>(tensor.numel())};
}

}  // namespace

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return at::linear(x, weight, bias);
}

at::Tensor Conv::operator()(const at::Tensor& x) const {
  return at::conv2d(x, weight, bias, {stride, stride}, at::IntArrayRef{padding, padding});
}

at::Tensor BatchNorm::operator()(const at::Tensor& x, bool training) const {
  if (training) num_batches_tracked.add_(1);
  return at::batch_norm(x, weight, bias, running_mean, running_var, training, kBatchNormMomentum,
                        kEpsilon, /*cudnn_enabled=*/true);
}

at::Tensor LayerNorm::operator()(const at::Tensor& x) const {
  return at::layer_norm(x, weight.sizes(), weight, bias, kEpsilon);
}

at::Tensor ChannelsLast(const at::Tensor& x) {
  return x.contiguous(at::MemoryFormat::ChannelsLast);
}

at::Tensor MeanLoss(const at::Tensor& outputs, const at::Tensor& target) {
  if (target.is_floating_point()) return at::mse_loss(outputs, target.to(outputs.scalar_type()));
  if (outputs.dim() == 2) return at::cross_entropy_loss(outputs, target);
  return at::cross_entropy_loss(outputs.reshape({-1, outputs.size(-1)}), target.reshape({-1}));
}

int64_t CountCorrect(const at::Tensor& outputs, const at::Tensor& target) {
  if (target.is_floating_point()) return 0;
  return at::argmax(outputs.detach(), -1).eq(target).sum().item<int64_t>();
}

at::ScalarType ScalarTypeOf(Precision precision) {
  return precision == Precision::kFloat64 ? at::kDouble : at::kFloat;
}

Linear LayerModel::AddLinear(const std::string& name, int64_t in, int64_t out) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  return {AddUniform(name + ".weight", {out, in}, bound), AddUniform(name + ".bias", {out}, bound)};
}

Conv LayerModel::AddConv(const std::string& name, int64_t in, int64_t out, int64_t kernel,
                         int64_t stride, int64_t padding, bool bias) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(in * kernel * kernel));
  Conv conv{AddUniform(name + ".weight", {out, in, kernel, kernel}, bound), {}, stride, padding};
  if (bias) conv.bias = AddUniform(name + ".bias", {out}, bound);
  return conv;
}

BatchNorm LayerModel::AddBatchNorm(const std::string& name, int64_t channels) {
  BatchNorm norm{AddConstant(name + ".weight", {channels}, 1.0),
                 AddConstant(name + ".bias", {channels}, 0.0), at::zeros({channels}, type_),
                 at::full({channels}, 1.0, type_), at::zeros({}, at::kLong)};
  buffers_.push_back({name + ".running_mean", norm.running_mean});
  buffers_.push_back({name + ".running_var", norm.running_var});
  buffers_.push_back({name + ".num_batches_tracked", norm.num_batches_tracked});
  return norm;
}

LayerNorm LayerModel::AddLayerNorm(const std::string& name, int64_t width) {
  return {AddConstant(name + ".weight", {width}, 1.0), AddConstant(name + ".bias", {width}, 0.0)};
}

at::Tensor LayerModel::AddUniform(std::string name, at::IntArrayRef sizes, double bound) {
  SeededRandom random(NextStream());
  at::Tensor tensor = at::empty(sizes, type_);
  if (type_ == at::kDouble) {
    FillUniform(random, bound, Elements<double>(tensor));
  } else {
    FillUniform(random, bound, Elements<float>(tensor));
  }
  return List(std::move(name), std::move(tensor));
}

at::Tensor LayerModel::AddNormal(std::string name, at::IntArrayRef sizes, double deviation) {
  SeededRandom random(NextStream());
  at::Tensor tensor = at::empty(sizes, type_);
  if (type_ == at::kDouble) {
    FillNormal(random, deviation, Elements<double>(tensor));
  } else {
    FillNormal(random, deviation, Elements<float>(tensor));
  }
  return List(std::move(name), std::move(tensor));
}

at::Tensor LayerModel::AddConstant(std::string name, at::IntArrayRef sizes, double value) {
  return List(std::move(name), at::full(sizes, value, type_));
}

at::Tensor LayerModel::List(std::string name, at::Tensor tensor) {
  tensor.set_requires_grad(true);
  parameters_.push_back({std::move(name), tensor});
  return tensor;
}

uint64_t LayerModel::NextStream() const {
  return Hash64(seed_, parameters_.size());
}

}  // namespace longstride
