#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>

#include "core/base/format.h"
#include "runtime/model/layers.h"
#include "runtime/model/zoo.h"

namespace longstride {
namespace {

class Cnn final : public LayerModel {
 public:
  Cnn(const CnnModel& spec, const DataShape& shape, Precision precision, uint64_t seed)
      : LayerModel(precision, seed) {
    int64_t channels = shape.features[0];
    int64_t height = shape.features[1];
    int64_t width = shape.features[2];
    for (const int64_t out : spec.channels) {
      convolutions_.push_back(
          AddConv(Format("conv%zu", convolutions_.size() + 1), channels, out, 3, 1, 1, true));
      channels = out;
      height /= 2;
      width /= 2;
    }
    hidden_ = AddLinear("fc1", channels * height * width, spec.hidden);
    head_ = AddLinear("fc2", spec.hidden, OutputsOf(shape));
  }

  at::Tensor Forward(const at::Tensor& features) override {
    at::Tensor x = features.to(type());
    const bool grey = x.size(1) == 1;
    for (const Conv& conv : convolutions_) {
      x = grey ? ChannelsLast(conv(x)) : conv(ChannelsLast(x));
      // relu commutes with max-pooling, values and gradients alike, and costs a quarter after it.
      x = at::max_pool2d(x, {2, 2}).relu_();
    }
    return head_(hidden_(x.flatten(1)).relu_());
  }

 private:
  std::vector<Conv> convolutions_;
  Linear hidden_;
  Linear head_;
};

}  // namespace

Result<std::unique_ptr<Model>> MakeCnn(const CnnModel& spec, const DataShape& shape,
                                       Precision precision, uint64_t seed) {
  if (shape.tokens || shape.features.size() != 3) {
    return UserError(
        "model.cnn: needs images (channels, height, width), but the data have none; use model.mlp "
        "for flat features or model.gpt for tokens");
  }
  const int64_t side = std::min(shape.features[1], shape.features[2]);
  if ((side >> spec.channels.size()) < 1) {
    return UserError(Format(
        "model.cnn.channels: %zu entries halve the image %zu times, but its smaller side is %lld; "
        "give fewer entries",
        spec.channels.size(), spec.channels.size(), static_cast<long long>(side)));
  }
  return std::unique_ptr<Model>(std::make_unique<Cnn>(spec, shape, precision, seed));
}

}  // namespace longstride
