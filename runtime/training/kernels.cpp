#include "runtime/training/kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/base/random.h"

// Each kernel is compiled for wide vectors too and picked at load time; the bits are the same.
#define LONGSTRIDE_CLONES __attribute__((target_clones("avx2", "default")))
#define LONGSTRIDE_BODY inline __attribute__((always_inline)) void

namespace longstride::kernels {
namespace {

template <typename T>
LONGSTRIDE_BODY ScaledDifferenceBody(const T* a, const T* b, T scale, T* out, size_t n) {
#pragma GCC ivdep
  for (size_t i = 0; i < n; ++i) out[i] = scale * (a[i] - b[i]);
}

template <typename T>
LONGSTRIDE_BODY ScaleBody(const T* x, T scale, T* out, size_t n) {
#pragma GCC ivdep
  for (size_t i = 0; i < n; ++i) out[i] = scale * x[i];
}

template <typename T>
LONGSTRIDE_BODY AddScaledBody(const T* a, const T* b, T scale, T* out, size_t n) {
#pragma GCC ivdep
  for (size_t i = 0; i < n; ++i) out[i] = a[i] + scale * b[i];
}

// What the optimizers of PyTorch call the gradient after clipping and L2 weight decay.
template <typename T>
inline __attribute__((always_inline)) T Effective(T gradient, T w, T scale, T decay) {
  return scale * gradient + decay * w;
}

template <typename T>
LONGSTRIDE_BODY SgdBody(const SgdStep& s, const T* __restrict g, T* __restrict w, T* __restrict v,
                        size_t n, bool has_momentum) {
  const T lr = static_cast<T>(s.learning_rate), momentum = static_cast<T>(s.momentum);
  const T decay = static_cast<T>(s.weight_decay), scale = static_cast<T>(s.gradient_scale);
  if (!has_momentum) {
    for (size_t i = 0; i < n; ++i) w[i] = w[i] - lr * Effective(g[i], w[i], scale, decay);
  } else if (!s.nesterov) {
    for (size_t i = 0; i < n; ++i) {
      v[i] = momentum * v[i] + Effective(g[i], w[i], scale, decay);
      w[i] = w[i] - lr * v[i];
    }
  } else {
    for (size_t i = 0; i < n; ++i) {
      const T e = Effective(g[i], w[i], scale, decay);
      v[i] = momentum * v[i] + e;
      w[i] = w[i] - lr * (e + momentum * v[i]);
    }
  }
}

template <typename T>
LONGSTRIDE_BODY AdagradBody(const AdagradStep& s, const T* __restrict g, T* __restrict w,
                            T* __restrict sum, size_t n) {
  const T lr = static_cast<T>(s.learning_rate), epsilon = static_cast<T>(s.epsilon);
  const T decay = static_cast<T>(s.weight_decay), scale = static_cast<T>(s.gradient_scale);
  for (size_t i = 0; i < n; ++i) {
    const T e = Effective(g[i], w[i], scale, decay);
    sum[i] = sum[i] + e * e;
    w[i] = w[i] - lr * (e / (std::sqrt(sum[i]) + epsilon));
  }
}

template <typename T>
LONGSTRIDE_BODY AdamBody(const AdamStep& s, const T* __restrict g, T* __restrict w, T* __restrict m,
                         T* __restrict v, size_t n) {
  const T step_size = static_cast<T>(s.learning_rate / s.correction1);
  const T root_correction = static_cast<T>(std::sqrt(s.correction2));
  const T epsilon = static_cast<T>(s.epsilon), scale = static_cast<T>(s.gradient_scale);
  const T keep = static_cast<T>(s.decoupled ? 1 - s.learning_rate * s.weight_decay : 1.0);
  const T decay = static_cast<T>(s.decoupled ? 0.0 : s.weight_decay);
  const T take1 = static_cast<T>(1 - s.beta1);
  const T beta2 = static_cast<T>(s.beta2), take2 = static_cast<T>(1 - s.beta2);
  for (size_t i = 0; i < n; ++i) {
    const T e = Effective(g[i], w[i], scale, decay);
    m[i] = m[i] + take1 * (e - m[i]);
    v[i] = beta2 * v[i] + take2 * (e * e);
    w[i] = keep * w[i] - step_size * (m[i] / (std::sqrt(v[i]) / root_correction + epsilon));
  }
}

}  // namespace

#define LONGSTRIDE_KERNELS(T)                                                                    \
  LONGSTRIDE_CLONES void ScaledDifference(std::span<const T> a, std::span<const T> b,            \
                                          double scale, std::span<T> out) {                      \
    ScaledDifferenceBody<T>(a.data(), b.data(), static_cast<T>(scale), out.data(), out.size());  \
  }                                                                                              \
  LONGSTRIDE_CLONES void Scale(std::span<const T> x, double scale, std::span<T> out) {           \
    ScaleBody<T>(x.data(), static_cast<T>(scale), out.data(), out.size());                       \
  }                                                                                              \
  LONGSTRIDE_CLONES void AddScaled(std::span<const T> a, std::span<const T> b, double scale,     \
                                   std::span<T> out) {                                           \
    AddScaledBody<T>(a.data(), b.data(), static_cast<T>(scale), out.data(), out.size());         \
  }                                                                                              \
  LONGSTRIDE_CLONES void Sgd(const SgdStep& step, std::span<const T> gradient, std::span<T> w,   \
                             std::span<T> v) {                                                   \
    SgdBody<T>(step, gradient.data(), w.data(), v.data(), w.size(), !v.empty());                 \
  }                                                                                              \
  LONGSTRIDE_CLONES void Adagrad(const AdagradStep& step, std::span<const T> gradient,           \
                                 std::span<T> w, std::span<T> sum) {                             \
    AdagradBody<T>(step, gradient.data(), w.data(), sum.data(), w.size());                       \
  }                                                                                              \
  LONGSTRIDE_CLONES void Adam(const AdamStep& step, std::span<const T> gradient, std::span<T> w, \
                              std::span<T> m, std::span<T> v) {                                  \
    AdamBody<T>(step, gradient.data(), w.data(), m.data(), v.data(), w.size());                  \
  }

LONGSTRIDE_KERNELS(float)
LONGSTRIDE_KERNELS(double)
#undef LONGSTRIDE_KERNELS

uint64_t Digest(std::span<const std::byte> bytes) {
  constexpr uint64_t kPrime = 0x9fb21c651e98df25ULL;
  uint64_t lanes[4] = {1, 2, 3, 4};
  const auto mix = [](uint64_t lane, uint64_t word) {
    return std::rotl((lane ^ word) * kPrime, 29);
  };
  size_t i = 0;
  for (; i + 32 <= bytes.size(); i += 32) {
    uint64_t words[4];
    std::memcpy(words, bytes.data() + i, 32);
    for (int l = 0; l < 4; ++l) lanes[l] = mix(lanes[l], words[l]);
  }
  for (; i < bytes.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, std::min<size_t>(8, bytes.size() - i));
    lanes[0] = mix(lanes[0], word);
  }
  return Hash64(bytes.size(), lanes[0], lanes[1], lanes[2], lanes[3]);
}

}  // namespace longstride::kernels
