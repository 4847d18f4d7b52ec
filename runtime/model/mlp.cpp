#include <ATen/ops/relu.h>

#include "core/base/format.h"
#include "runtime/model/layers.h"
#include "runtime/model/zoo.h"

namespace longstride {
namespace {

class Mlp final : public LayerModel {
 public:
  Mlp(const MlpModel& spec, int64_t features, int64_t outputs, Precision precision, uint64_t seed)
      : LayerModel(precision, seed) {
    int64_t width = features;
    for (const int64_t hidden : spec.hidden) {
      Append(width, hidden);
      width = hidden;
    }
    Append(width, outputs);
  }

  at::Tensor Forward(const at::Tensor& features) override {
    at::Tensor x = features.to(type()).flatten(1);
    for (size_t i = 0; i + 1 < layers_.size(); ++i) x = layers_[i](x).relu_();
    return layers_.back()(x);
  }

 private:
  void Append(int64_t in, int64_t out) {
    layers_.push_back(AddLinear(Format("fc%zu", layers_.size() + 1), in, out));
  }

  std::vector<Linear> layers_;
};

}  // namespace

Result<std::unique_ptr<Model>> MakeMlp(const MlpModel& spec, const DataShape& shape,
                                       Precision precision, uint64_t seed) {
  if (shape.tokens) {
    return UserError("model.mlp: the data are tokens; use model.gpt, or data with float features");
  }
  int64_t features = 1;
  for (const int64_t size : shape.features) features *= size;
  return std::unique_ptr<Model>(
      std::make_unique<Mlp>(spec, features, OutputsOf(shape), precision, seed));
}

}  // namespace longstride
