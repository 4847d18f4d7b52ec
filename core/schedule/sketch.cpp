#include "core/schedule/sketch.h"

#include <algorithm>
#include <array>
#include <bit>
#include <type_traits>

#include "core/base/random.h"
#include "core/schedule/sums.h"

namespace longstride {
namespace {

template <typename T>
using Word = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

template <typename T>
constexpr Word<T> SignMask(uint64_t bit) {
  return static_cast<Word<T>>(bit & 1) << (8 * sizeof(T) - 1);
}

// For each four sign bits, the masks that flip the signs of four elements.
template <typename T>
constexpr std::array<std::array<Word<T>, 4>, 16> MakeSignMasks() {
  std::array<std::array<Word<T>, 4>, 16> masks{};
  for (uint64_t bits = 0; bits < 16; ++bits) {
    for (uint64_t l = 0; l < 4; ++l) masks[bits][l] = SignMask<T>(bits >> l);
  }
  return masks;
}
template <typename T>
constexpr auto kSignMasks = MakeSignMasks<T>();

template <typename T>
double Flip(T x, Word<T> mask) {
  return static_cast<double>(std::bit_cast<T>(std::bit_cast<Word<T>>(x) ^ mask));
}

// bucket[j] += +-x[j], the sign from bit j of `signs`; n <= 64.
template <typename T>
void AddSigned(const T* __restrict x, int64_t n, uint64_t signs, double* __restrict bucket) {
  int64_t j = 0;
  for (; j + 4 <= n; j += 4, signs >>= 4) {
    const Word<T>* mask = kSignMasks<T>[signs & 15].data();
    for (int64_t l = 0; l < 4; ++l) bucket[j + l] += Flip(x[j + l], mask[l]);
  }
  for (; j < n; ++j, signs >>= 1) bucket[j] += Flip(x[j], SignMask<T>(signs));
}

}  // namespace

GradientSketch::GradientSketch(int64_t buckets, uint64_t seed, uint64_t round)
    : values_(static_cast<size_t>(buckets)),
      sign_key_(Hash64(seed, round, 1)),
      rotation_key_(Hash64(seed, round, 2)) {
  StartBlock();
}

void GradientSketch::StartBlock() {
  // Multiply-shift maps the hash to [0, K) without a division.
  const uint64_t hash = Mix64(rotation_key_ + static_cast<uint64_t>(block_));
  rotation_ = static_cast<int64_t>(
      (static_cast<unsigned __int128>(hash) * static_cast<uint64_t>(values_.size())) >> 64);
}

template <typename T>
void GradientSketch::AddElements(std::span<const T> elements) {
  const int64_t buckets = static_cast<int64_t>(values_.size());
  const T* next = elements.data();
  int64_t left = static_cast<int64_t>(elements.size());
  while (left > 0) {
    // A run has one word of signs, lies in one block, and does not wrap around the buckets.
    const int64_t bucket = block_position_ + rotation_ < buckets
                               ? block_position_ + rotation_
                               : block_position_ + rotation_ - buckets;
    const int64_t in_word = position_ % 64;
    const int64_t run = std::min({left, 64 - in_word, buckets - block_position_, buckets - bucket});
    const uint64_t signs = Mix64(sign_key_ + static_cast<uint64_t>(position_ / 64)) >> in_word;
    AddSigned(next, run, signs, values_.data() + bucket);
    next += run;
    left -= run;
    position_ += run;
    block_position_ += run;
    if (block_position_ == buckets) {
      block_position_ = 0;
      ++block_;
      StartBlock();
    }
  }
}

void GradientSketch::Add(std::span<const float> elements) {
  AddElements(elements);
}
void GradientSketch::Add(std::span<const double> elements) {
  AddElements(elements);
}

void GradientSketch::Skip(int64_t count) {
  const int64_t buckets = static_cast<int64_t>(values_.size());
  position_ += count;
  block_ = position_ / buckets;
  block_position_ = position_ % buckets;
  StartBlock();
}

double GradientSketch::SquaredNorm() const {
  return longstride::SquaredNorm(std::span<const double>(values_));
}

double GradientSketch::InnerProduct(std::span<const double> other) const {
  return longstride::InnerProduct(std::span<const double>(values_), other);
}

void GradientSketch::WriteScaled(double weight, std::span<double> out) const {
  for (size_t j = 0; j < values_.size(); ++j) out[j] = weight * values_[j];
}

}  // namespace longstride
