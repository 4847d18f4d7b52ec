#include "runtime/training/kernels.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/random.h"
#include "runtime/training/gradient.h"

namespace longstride {
namespace {

std::vector<float> RandomFloats(uint64_t seed, size_t n) {
  SeededRandom random(seed);
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(random.NextUniform() * 4 - 2);
  return x;
}

// Reads through volatile, so that the compiler computes one rounded operation after the other.
float Once(float x) {
  volatile float v = x;
  return v;
}

TEST(Kernels, RoundEveryOperationAloneAtAnyLength) {
  for (size_t n = 0; n < 70; ++n) {
    const uint64_t seed = 100 + n;
    SCOPED_TRACE(seed);
    const std::vector<float> a = RandomFloats(seed, n), b = RandomFloats(seed + 1000, n);
    std::vector<float> out(n);
    kernels::AddScaled(a, b, 0.3, out);
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(out[i], Once(a[i] + Once(0.3f * b[i])));
    kernels::ScaledDifference(a, b, 0.3, out);
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(out[i], Once(0.3f * Once(a[i] - b[i])));

    std::vector<float> w = a, v = b;
    const std::vector<float> g = RandomFloats(seed + 2000, n);
    kernels::Sgd({.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01}, g, w, v);
    for (size_t i = 0; i < n; ++i) {
      const float e = Once(g[i] + Once(0.01f * a[i]));
      const float velocity = Once(Once(0.9f * b[i]) + e);
      EXPECT_EQ(v[i], velocity);
      EXPECT_EQ(w[i], Once(a[i] - Once(0.1f * velocity)));
    }

    std::vector<float> m = b, second(n, 0.5f);
    w = a;
    kernels::Adam({.learning_rate = 0.1,
                   .beta1 = 0.9,
                   .beta2 = 0.99,
                   .epsilon = 1e-8,
                   .correction1 = 0.1,
                   .correction2 = 0.01},
                  g, w, m, second);
    const auto f = [](double x) { return static_cast<float>(x); };
    for (size_t i = 0; i < n; ++i) {
      const float mean = Once(b[i] + Once(f(1 - 0.9) * Once(g[i] - b[i])));
      const float square = Once(Once(f(0.99) * 0.5f) + Once(f(1 - 0.99) * Once(g[i] * g[i])));
      const float root = Once(Once(Once(std::sqrt(square)) / f(std::sqrt(0.01))) + f(1e-8));
      EXPECT_EQ(m[i], mean);
      EXPECT_EQ(second[i], square);
      EXPECT_EQ(w[i], Once(a[i] - Once(f(0.1 / 0.1) * Once(mean / root))));
    }
  }
}

TEST(Kernels, DigestSeesEveryByteAndTheLength) {
  std::vector<float> x = RandomFloats(7, 101);
  const uint64_t digest = kernels::Digest(std::as_bytes(std::span(x)));
  EXPECT_EQ(digest, kernels::Digest(std::as_bytes(std::span(x))));
  for (size_t i = 0; i < x.size(); ++i) {
    std::vector<float> other = x;
    other[i] = std::nextafterf(other[i], 10);
    EXPECT_NE(digest, kernels::Digest(std::as_bytes(std::span(other)))) << i;
    std::swap(other[i], other[(i + 8) % other.size()]);
    EXPECT_NE(digest, kernels::Digest(std::as_bytes(std::span(other)))) << i;
  }
  const std::vector<float> zeros(16, 0.0f);
  EXPECT_NE(kernels::Digest(std::as_bytes(std::span(zeros))),
            kernels::Digest(std::as_bytes(std::span(zeros).first(15))));
}

TEST(SplitBatch, GivesTheWantedPartsUnderTheCap) {
  using Sizes = std::vector<int64_t>;
  EXPECT_EQ(SplitBatch(8, 1, 100), Sizes({8}));
  EXPECT_EQ(SplitBatch(8, 2, 100), Sizes({4, 4}));
  EXPECT_EQ(SplitBatch(7, 2, 100), Sizes({4, 3}));
  EXPECT_EQ(SplitBatch(7, 2, 2), Sizes({2, 2, 2, 1}));
  EXPECT_EQ(SplitBatch(1, 2, 100), Sizes({1}));
  EXPECT_EQ(SplitBatch(10, 1, 4), Sizes({4, 3, 3}));
}

TEST(SplitBatch, LeavesNoMicroBatchBelowTheSmallest) {
  using Sizes = std::vector<int64_t>;
  EXPECT_EQ(SplitBatch(7, 1, 2, 2), Sizes({3, 2, 2}));
  EXPECT_EQ(SplitBatch(6, 1, 1, 2), Sizes({2, 2, 2}));
  EXPECT_EQ(SplitBatch(3, 2, 100, 2), Sizes({3}));
  EXPECT_EQ(SplitBatch(1, 2, 100, 2), Sizes({1})) << "it has no more";
}

}  // namespace
}  // namespace longstride
