#include <ATen/ops/dropout.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <cmath>

#include "core/base/format.h"
#include "runtime/model/layers.h"
#include "runtime/model/zoo.h"

namespace longstride {
namespace {

constexpr double kInitialDeviation = 0.02;

struct Block {
  LayerNorm attention_norm;
  Linear query_key_value;
  Linear attention_projection;
  LayerNorm feed_forward_norm;
  Linear expand;
  Linear contract;
};

class Gpt final : public LayerModel {
 public:
  Gpt(const GptModel& spec, int64_t context, int64_t vocabulary, Precision precision, uint64_t seed)
      : LayerModel(precision, seed), heads_(spec.heads), dropout_(spec.dropout), context_(context) {
    const int64_t width = spec.width;
    const double residual_deviation =
        kInitialDeviation / std::sqrt(2.0 * static_cast<double>(spec.layers));
    tokens_ = AddNormal("transformer.wte.weight", {vocabulary, width}, kInitialDeviation);
    positions_ = AddNormal("transformer.wpe.weight", {context, width}, kInitialDeviation);
    for (int64_t i = 0; i < spec.layers; ++i) {
      const std::string name = Format("transformer.h.%lld.", static_cast<long long>(i));
      Block block;
      block.attention_norm = AddLayerNorm(name + "ln_1", width);
      block.query_key_value = AddDense(name + "attn.c_attn", width, 3 * width, kInitialDeviation);
      block.attention_projection = AddDense(name + "attn.c_proj", width, width, residual_deviation);
      block.feed_forward_norm = AddLayerNorm(name + "ln_2", width);
      block.expand = AddDense(name + "mlp.c_fc", width, 4 * width, kInitialDeviation);
      block.contract = AddDense(name + "mlp.c_proj", 4 * width, width, residual_deviation);
      blocks_.push_back(std::move(block));
    }
    final_norm_ = AddLayerNorm("transformer.ln_f", width);
  }

  // features: int64 [n, t] with t <= context.
  at::Tensor Forward(const at::Tensor& features) override {
    const int64_t length = features.size(1);
    // Positions 0 .. t-1 are the first rows of the table; a view of it needs no lookup.
    const at::Tensor positions = length == context_ ? positions_ : positions_.narrow(0, 0, length);
    at::Tensor x = Drop(at::embedding(tokens_, features).add(positions));
    for (const Block& block : blocks_) {
      x = x.add(Drop(Attend(block, block.attention_norm(x))));
      x = x.add(Drop(block.contract(at::gelu(block.expand(block.feed_forward_norm(x))))));
    }
    return at::linear(final_norm_(x), tokens_);
  }

 private:
  Linear AddDense(const std::string& name, int64_t in, int64_t out, double deviation) {
    return {AddNormal(name + ".weight", {out, in}, deviation),
            AddConstant(name + ".bias", {out}, 0.0)};
  }

  [[nodiscard]] at::Tensor Drop(const at::Tensor& x) const {
    return dropout_ > 0 && training() ? at::dropout(x, dropout_, true) : x;
  }

  // x: [n, t, width]; heads stand in dimension 1 while attending: [n, heads, t, width / heads].
  [[nodiscard]] at::Tensor Attend(const Block& block, const at::Tensor& x) const {
    const int64_t n = x.size(0);
    const int64_t length = x.size(1);
    const int64_t width = x.size(2);
    const auto parts = block.query_key_value(x)
                           .view({n, length, 3, heads_, width / heads_})
                           .transpose(1, 3)
                           .unbind(2);
    const at::Tensor mixed = at::scaled_dot_product_attention(
        parts[0], parts[1], parts[2], {}, training() ? dropout_ : 0.0, /*is_causal=*/true);
    return block.attention_projection(mixed.transpose(1, 2).reshape({n, length, width}));
  }

  int64_t heads_;
  double dropout_;
  int64_t context_;
  at::Tensor tokens_;     // [vocabulary, width]; also the head
  at::Tensor positions_;  // [context, width]
  std::vector<Block> blocks_;
  LayerNorm final_norm_;
};

}  // namespace

Result<std::unique_ptr<Model>> MakeGpt(const GptModel& spec, const DataShape& shape,
                                       Precision precision, uint64_t seed) {
  if (!shape.tokens || shape.classes < 1) {
    return UserError(
        "model.gpt: needs tokens, but the data are not; use data.format tokens or text, or another "
        "model");
  }
  if (spec.heads < 1 || spec.width % spec.heads != 0) {
    return UserError(Format("model.gpt.width: %lld is not a multiple of model.gpt.heads (%lld)",
                            static_cast<long long>(spec.width),
                            static_cast<long long>(spec.heads)));
  }
  return std::unique_ptr<Model>(
      std::make_unique<Gpt>(spec, shape.features[0], shape.classes, precision, seed));
}

}  // namespace longstride
