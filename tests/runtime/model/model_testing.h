// What the tests of models share: small specs of every built-in kind, data that suit them, and a
// plain gradient step.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/model/model.h"

namespace longstride {

struct ModelCase {
  std::string name;
  ModelSpec spec;
  DataShape shape;
};

inline void PrintTo(const ModelCase& c, std::ostream* out) {
  *out << c.name;
}

inline DataShape Images(int64_t channels, int64_t side, int64_t classes) {
  return {{channels, side, side}, false, classes, 0};
}

inline ModelCase MlpCase() {
  ModelSpec spec;
  spec.kind = ModelKind::kMlp;
  spec.mlp.hidden = {12, 8};
  return {"mlp", spec, {{6}, false, 3, 0}};
}

inline ModelCase RegressionCase() {
  ModelCase c = MlpCase();
  c.name = "mlp_regression";
  c.shape.classes = 0;
  c.shape.outputs = 2;
  return c;
}

inline ModelCase CnnCase() {
  ModelSpec spec;
  spec.kind = ModelKind::kCnn;
  spec.cnn.channels = {4, 6};
  spec.cnn.hidden = 8;
  return {"cnn", spec, Images(2, 12, 3)};
}

inline ModelCase GreyCnnCase() {
  ModelCase c = CnnCase();
  c.name = "cnn_grey";
  c.shape = Images(1, 12, 3);
  return c;
}

inline ModelCase ResnetCase(ResnetStyle style, int64_t depth, int64_t side) {
  ModelSpec spec;
  spec.kind = ModelKind::kResnet;
  spec.resnet = {style, depth};
  return {"resnet" + std::to_string(depth), spec, Images(3, side, 3)};
}

inline ModelCase GptCase() {
  ModelSpec spec;
  spec.kind = ModelKind::kGpt;
  spec.gpt = {2, 2, 8, 0.0};
  return {"gpt", spec, {{6}, true, 11, 0}};
}

inline std::vector<ModelCase> SmallCases() {
  return {MlpCase(),     RegressionCase(), CnnCase(),
          GreyCnnCase(), GptCase(),        ResnetCase(ResnetStyle::kCifar, 8, 8)};
}

// Test data and parameters: whole numbers spread evenly over [-scale, scale], as make_fixtures.py
// has them.
inline at::Tensor Ramp(at::IntArrayRef sizes, int64_t salt, double scale) {
  int64_t n = 1;
  for (const int64_t size : sizes) n *= size;
  const at::Tensor i = at::arange(n, at::kLong);
  const at::Tensor spread = i.mul(7919).add(salt * 104729).remainder(2001).sub(1000);
  return spread.to(at::kDouble).div(1000).mul(scale).reshape(sizes);
}

// n samples that suit the shape, different from one another.
inline TensorBatch MakeBatch(const DataShape& shape, int64_t n, at::ScalarType type) {
  std::vector<int64_t> sizes{n};
  sizes.insert(sizes.end(), shape.features.begin(), shape.features.end());
  if (shape.tokens) {
    const at::Tensor ids =
        at::arange(n * shape.features[0], at::kLong).mul(5).remainder(shape.classes).reshape(sizes);
    return {ids, ids.mul(3).add(1).remainder(shape.classes)};
  }
  const at::Tensor features = Ramp(sizes, 100, 1.0).to(type);
  if (shape.classes > 0) return {features, at::arange(n, at::kLong).remainder(shape.classes)};
  return {features, Ramp({n, shape.outputs}, 7, 1.0).to(type)};
}

inline std::unique_ptr<Model> MakeOrDie(const ModelCase& c,
                                        Precision precision = Precision::kFloat64,
                                        uint64_t seed = 1) {
  auto made = MakeModel(c.spec, c.shape, precision, seed);
  if (!made.ok()) {
    ADD_FAILURE() << c.name << ": " << made.error().message;
    std::abort();
  }
  return std::move(*made);
}

inline at::Tensor LossOf(Model& model, const TensorBatch& batch) {
  return model.Loss(model.Forward(batch.features), batch.target);
}

// Sets every gradient anew and returns the loss.
inline double Backward(Model& model, const TensorBatch& batch) {
  for (NamedTensor& p : model.parameters()) p.tensor.mutable_grad() = at::zeros_like(p.tensor);
  const at::Tensor loss = LossOf(model, batch);
  loss.backward();
  return loss.item<double>();
}

inline void Step(Model& model, const TensorBatch& batch, double lr) {
  Backward(model, batch);
  const at::NoGradGuard no_grad;
  for (NamedTensor& p : model.parameters()) p.tensor.sub_(p.tensor.grad().mul(lr));
}

}  // namespace longstride
