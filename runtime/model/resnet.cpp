#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>

#include <optional>

#include "core/base/format.h"
#include "runtime/model/layers.h"
#include "runtime/model/zoo.h"

namespace longstride {
namespace {

// Two or three convolutions with batch normalization around a shortcut.
struct Block {
  std::vector<Conv> convolutions;
  std::vector<BatchNorm> norms;
  std::optional<Conv> projection;  // where the shortcut changes its size
  std::optional<BatchNorm> projection_norm;

  [[nodiscard]] at::Tensor operator()(const at::Tensor& input, bool training) const {
    at::Tensor x = input;
    for (size_t i = 0; i < convolutions.size(); ++i) {
      x = norms[i](convolutions[i](x), training);
      if (i + 1 < convolutions.size()) x.relu_();
    }
    x.add_(projection ? (*projection_norm)((*projection)(input), training) : input);
    return x.relu_();
  }
};

struct Stage {
  int64_t width;  // channels of the 3x3 convolutions
  int64_t blocks;
  int64_t stride;  // of the first block
};

struct Layout {
  int64_t stem_channels;
  int64_t stem_kernel;
  int64_t stem_stride;
  bool stem_pool;
  int64_t expansion;  // output channels of a block / width: 1 basic, 4 bottleneck
  std::vector<Stage> stages;
};

Layout CifarLayout(int64_t depth) {
  const int64_t n = (depth - 2) / 6;
  return {16, 3, 1, false, 1, {{16, n, 1}, {32, n, 2}, {64, n, 2}}};
}

Layout ImagenetLayout(int64_t depth) {
  if (depth == 18) return {64, 7, 2, true, 1, {{64, 2, 1}, {128, 2, 2}, {256, 2, 2}, {512, 2, 2}}};
  return {64, 7, 2, true, 4, {{64, 3, 1}, {128, 4, 2}, {256, 6, 2}, {512, 3, 2}}};
}

// What is left of `side` pixels in the last stage: a stride of s keeps every s-th, from the first.
int64_t LastSide(const Layout& layout, int64_t side) {
  const auto every = [&](int64_t stride) { side = (side + stride - 1) / stride; };
  every(layout.stem_stride);
  if (layout.stem_pool) every(2);
  for (const Stage& stage : layout.stages) every(stage.stride);
  return side;
}

class Resnet final : public LayerModel {
 public:
  // `features`: channels, height, width.
  Resnet(const Layout& layout, const std::vector<int64_t>& features, int64_t outputs,
         Precision precision, uint64_t seed)
      : LayerModel(precision, seed),
        stem_pool_(layout.stem_pool),
        min_batch_(LastSide(layout, features[1]) * LastSide(layout, features[2]) > 1 ? 1 : 2) {
    const int64_t channels = features[0];
    stem_ = AddConv("conv1", channels, layout.stem_channels, layout.stem_kernel, layout.stem_stride,
                    layout.stem_kernel / 2, /*bias=*/false);
    stem_norm_ = AddBatchNorm("bn1", layout.stem_channels);
    int64_t in = layout.stem_channels;
    for (size_t s = 0; s < layout.stages.size(); ++s) {
      const Stage& stage = layout.stages[s];
      const int64_t out = stage.width * layout.expansion;
      for (int64_t b = 0; b < stage.blocks; ++b) {
        const std::string name = Format("layer%zu.%lld", s + 1, static_cast<long long>(b));
        AppendBlock(name, in, stage.width, out, b == 0 ? stage.stride : 1);
        in = out;
      }
    }
    head_ = AddLinear("fc", in, outputs);
  }

  int64_t MinBatch() const override { return min_batch_; }

  at::Tensor Forward(const at::Tensor& features) override {
    at::Tensor x = features.to(type());
    x = x.size(1) == 1 ? ChannelsLast(stem_(x)) : stem_(ChannelsLast(x));
    x = stem_norm_(x, training());
    // relu commutes with max-pooling.
    if (stem_pool_) x = at::max_pool2d(x, {3, 3}, at::IntArrayRef{2, 2}, at::IntArrayRef{1, 1});
    x.relu_();
    for (const Block& block : blocks_) x = block(x, training());
    return head_(at::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
  }

 private:
  void AppendBlock(const std::string& name, int64_t in, int64_t width, int64_t out,
                   int64_t stride) {
    Block block;
    const auto append = [&](int64_t from, int64_t to, int64_t kernel, int64_t step) {
      const size_t i = block.convolutions.size() + 1;
      block.convolutions.push_back(AddConv(name + Format(".conv%zu", i), from, to, kernel, step,
                                           kernel / 2, /*bias=*/false));
      block.norms.push_back(AddBatchNorm(name + Format(".bn%zu", i), to));
    };
    if (out == width) {
      append(in, width, 3, stride);
      append(width, out, 3, 1);
    } else {
      append(in, width, 1, 1);
      append(width, width, 3, stride);
      append(width, out, 1, 1);
    }
    if (stride != 1 || in != out) {
      block.projection = AddConv(name + ".downsample.0", in, out, 1, stride, 0, /*bias=*/false);
      block.projection_norm = AddBatchNorm(name + ".downsample.1", out);
    }
    blocks_.push_back(std::move(block));
  }

  bool stem_pool_;
  int64_t min_batch_;
  Conv stem_;
  BatchNorm stem_norm_;
  std::vector<Block> blocks_;
  Linear head_;
};

}  // namespace

Result<std::unique_ptr<Model>> MakeResnet(const ResnetModel& spec, const DataShape& shape,
                                          Precision precision, uint64_t seed) {
  if (shape.tokens || shape.features.size() != 3) {
    return UserError(
        "model.resnet: needs images (channels, height, width), but the data have none; use "
        "model.mlp for flat features or model.gpt for tokens");
  }
  const bool cifar = spec.style == ResnetStyle::kCifar;
  if (cifar ? spec.depth < 8 || (spec.depth - 2) % 6 != 0 : spec.depth != 18 && spec.depth != 50) {
    return UserError(Format("model.resnet.depth: %lld is not %s",
                            static_cast<long long>(spec.depth),
                            cifar ? "6n+2 (20, 32, 44, 56, 110), as style cifar needs"
                                  : "18 or 50, as style imagenet needs"));
  }
  return std::unique_ptr<Model>(
      std::make_unique<Resnet>(cifar ? CifarLayout(spec.depth) : ImagenetLayout(spec.depth),
                               shape.features, OutputsOf(shape), precision, seed));
}

}  // namespace longstride
