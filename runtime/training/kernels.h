// The arithmetic of the round engine after the backward pass: plain loops over flat vectors.
//
// Ranks must agree bit for bit whatever their CPU, so every element is computed with + - * / and
// square root in one fixed order, each rounded on its own (the build forbids contraction). Such
// loops give the same bits at any vector width; nothing here sums across elements
// (core/schedule/sums.h does that). Spans of one call have equal size and do not overlap unless a
// comment says so. Pure; thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace longstride::kernels {

// out = scale * (a - b). `out` may be `a`.
void ScaledDifference(std::span<const float> a, std::span<const float> b, double scale,
                      std::span<float> out);
void ScaledDifference(std::span<const double> a, std::span<const double> b, double scale,
                      std::span<double> out);
// out = scale * x. `out` may be `x`.
void Scale(std::span<const float> x, double scale, std::span<float> out);
void Scale(std::span<const double> x, double scale, std::span<double> out);
// out = a + scale * b. `out` may be `a`.
void AddScaled(std::span<const float> a, std::span<const float> b, double scale,
               std::span<float> out);
void AddScaled(std::span<const double> a, std::span<const double> b, double scale,
               std::span<double> out);

// One step of stochastic gradient descent with g = gradient_scale * gradient + weight_decay * w:
//   heavy ball: v = momentum * v + g, w -= learning_rate * v
//   nesterov:   v = momentum * v + g, w -= learning_rate * (g + momentum * v)
// which is torch.optim.SGD without dampening, whose first step sets v = g. `v` is empty when
// momentum is 0.
struct SgdStep {
  double learning_rate = 0;
  double momentum = 0;
  double weight_decay = 0;
  double gradient_scale = 1;
  bool nesterov = false;
};
void Sgd(const SgdStep& step, std::span<const float> gradient, std::span<float> w,
         std::span<float> v);
void Sgd(const SgdStep& step, std::span<const double> gradient, std::span<double> w,
         std::span<double> v);

// sum += g^2, w -= learning_rate * g / (sqrt(sum) + epsilon); g as above. torch.optim.Adagrad with
// lr_decay 0 [Duchi, Hazan, Singer 2011].
struct AdagradStep {
  double learning_rate = 0;
  double weight_decay = 0;
  double gradient_scale = 1;
  double epsilon = 0;
};
void Adagrad(const AdagradStep& step, std::span<const float> gradient, std::span<float> w,
             std::span<float> sum);
void Adagrad(const AdagradStep& step, std::span<const double> gradient, std::span<double> w,
             std::span<double> sum);

// torch.optim.Adam [Kingma, Ba 2015, algorithm 1] and, with `decoupled`, AdamW [Loshchilov, Hutter
// 2019]:
//   decoupled: w *= 1 - learning_rate * weight_decay; else weight_decay enters g as above
//   m += (1 - beta1) (g - m), v = beta2 v + (1 - beta2) g^2
//   w -= learning_rate / correction1 * m / (sqrt(v) / sqrt(correction2) + epsilon)
struct AdamStep {
  double learning_rate = 0;
  double beta1 = 0;
  double beta2 = 0;
  double epsilon = 0;
  double weight_decay = 0;
  double gradient_scale = 1;
  double correction1 = 1;  // 1 - beta1^t, t = 1 for the first step
  double correction2 = 1;  // 1 - beta2^t
  bool decoupled = false;
};
void Adam(const AdamStep& step, std::span<const float> gradient, std::span<float> w,
          std::span<float> m, std::span<float> v);
void Adam(const AdamStep& step, std::span<const double> gradient, std::span<double> w,
          std::span<double> m, std::span<double> v);

// A 64-bit digest of memory; equal bytes give equal digests on every little-endian machine. Not
// secure.
[[nodiscard]] uint64_t Digest(std::span<const std::byte> bytes);

}  // namespace longstride::kernels
