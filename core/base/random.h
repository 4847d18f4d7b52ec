// Randomness that is the same on every machine: a counter-based hash for values addressed by
// position (data order, sketches) and a seeded sequence for everything else. No global state.
#pragma once

#include <cstdint>

namespace longstride {

// Mixes 64 bits; the finalizer of SplitMix64 [Steele, Lea, Flood 2014]. A bijection.
[[nodiscard]] constexpr uint64_t Mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// A hash of several words in order; equal arguments give equal results on every machine.
[[nodiscard]] constexpr uint64_t Hash64(uint64_t seed) {
  return Mix64(seed);
}
template <typename... Rest>
[[nodiscard]] constexpr uint64_t Hash64(uint64_t seed, uint64_t word, Rest... rest) {
  return Hash64(Mix64(seed) ^ (word * 0xd6e8feb86659fd93ULL), static_cast<uint64_t>(rest)...);
}

// Uniform in [0, 1) with 53 bits, from a word of which all values are as likely.
[[nodiscard]] constexpr double UniformOf(uint64_t word) {
  return static_cast<double>(word >> 11) * 0x1p-53;
}

// A source of random words. Not thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  [[nodiscard]] virtual uint64_t NextWord() = 0;

  // Uniform in [0, n); n > 0. Unbiased (rejection).
  [[nodiscard]] uint64_t NextBelow(uint64_t n);
  [[nodiscard]] double NextUniform() { return UniformOf(NextWord()); }
  // Standard normal (Box-Muller). Uses libm, so for tests and data only, never where ranks must
  // agree.
  [[nodiscard]] double NextNormal();
};

// SplitMix64 from a seed: the same sequence everywhere.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  [[nodiscard]] uint64_t NextWord() override {
    const uint64_t word = Mix64(state_);
    state_ += 0x9e3779b97f4a7c15ULL;
    return word;
  }

 private:
  uint64_t state_;
};

}  // namespace longstride
