// Which sample stands at which position, and which positions a worker takes in a round. Everything
// follows from (seed, N, cursor, H, b_m): nothing is stored and nothing is sent.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/schedule/position_ranges.h"

namespace longstride {

// A seeded permutation of [0, size) in O(1) memory: a balanced Feistel network over the next power
// of four, walked along its cycles until it falls inside [Luby, Rackoff 1988; Black, Rogaway 2002].
// For shuffling only, not for secrets. Immutable; thread-safe.
class FeistelPermutation {
 public:
  FeistelPermutation(uint64_t seed, uint64_t tweak, int64_t size);  // size >= 1
  [[nodiscard]] int64_t operator()(int64_t i) const;                // i in [0, size)

 private:
  static constexpr int kRounds = 8;
  uint64_t size_;
  int half_bits_;
  std::array<uint64_t, kRounds> keys_;
};

struct SampleLocation {
  int64_t epoch = 0;
  int64_t index = 0;  // in [0, N)
  friend bool operator==(const SampleLocation&, const SampleLocation&) = default;
};

// Position p is sample permutation_{p / N}(p mod N) of epoch p / N. Immutable; thread-safe.
class SampleOrder {
 public:
  SampleOrder(uint64_t seed, int64_t size) : seed_(seed), size_(size) {}  // N = size >= 1
  [[nodiscard]] int64_t size() const { return size_; }
  [[nodiscard]] SampleLocation Locate(int64_t position) const;
  // Appends the sample indices at `range`, in order; the range may span epochs.
  void AppendIndices(PositionRange range, std::vector<int64_t>& indices) const;

 private:
  uint64_t seed_;
  int64_t size_;
};

// A round of H local steps with local batches b_m reads a sequence of n = H * sum b_m positions:
// [cursor, cursor + n), or holes first (Ledger::Next). Rank m's part is one contiguous stretch of
// that sequence, after those of the lower ranks: H * b_m positions from offset H * (b_0 + ... +
// b_{m-1}). Its local step h (from 0) takes b_m of them, from h * b_m on.

// n = H * sum b_m.
[[nodiscard]] int64_t RoundSize(int64_t local_steps, std::span<const int64_t> batches);
// All of rank's positions in the round, in the order in which it reads them.
[[nodiscard]] std::vector<PositionRange> RankPositions(std::span<const PositionRange> round,
                                                       int64_t local_steps,
                                                       std::span<const int64_t> batches, int rank);
// Rank's positions in local step `step`.
[[nodiscard]] std::vector<PositionRange> StepPositions(std::span<const PositionRange> round,
                                                       int64_t local_steps,
                                                       std::span<const int64_t> batches, int rank,
                                                       int64_t step);

}  // namespace longstride
