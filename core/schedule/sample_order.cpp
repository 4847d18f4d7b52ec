#include "core/schedule/sample_order.h"

#include <algorithm>

#include "core/base/random.h"

namespace longstride {

FeistelPermutation::FeistelPermutation(uint64_t seed, uint64_t tweak, int64_t size)
    : size_(static_cast<uint64_t>(size)), half_bits_(1) {
  while (half_bits_ < 31 && (uint64_t{1} << (2 * half_bits_)) < size_) ++half_bits_;
  for (size_t r = 0; r < keys_.size(); ++r) keys_[r] = Hash64(seed, tweak, r);
}

int64_t FeistelPermutation::operator()(int64_t i) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t word = static_cast<uint64_t>(i);
  do {
    uint64_t left = word >> half_bits_;
    uint64_t right = word & mask;
    for (const uint64_t key : keys_) {
      const uint64_t mixed = left ^ (Mix64(key + right) >> (64 - half_bits_));
      left = right;
      right = mixed;
    }
    word = (left << half_bits_) | right;
  } while (word >= size_);
  return static_cast<int64_t>(word);
}

SampleLocation SampleOrder::Locate(int64_t position) const {
  const int64_t epoch = position / size_;
  const FeistelPermutation permutation(seed_, static_cast<uint64_t>(epoch), size_);
  return {epoch, permutation(position % size_)};
}

void SampleOrder::AppendIndices(PositionRange range, std::vector<int64_t>& indices) const {
  for (int64_t at = range.begin; at < range.end;) {
    const int64_t epoch = at / size_;
    const FeistelPermutation permutation(seed_, static_cast<uint64_t>(epoch), size_);
    const int64_t end = std::min(range.end, (epoch + 1) * size_);
    for (; at < end; ++at) indices.push_back(permutation(at - epoch * size_));
  }
}

int64_t RoundSize(int64_t local_steps, std::span<const int64_t> batches) {
  int64_t batch = 0;
  for (const int64_t b : batches) batch += b;
  return local_steps * batch;
}

std::vector<PositionRange> RankPositions(std::span<const PositionRange> round, int64_t local_steps,
                                         std::span<const int64_t> batches, int rank) {
  const size_t r = static_cast<size_t>(rank);
  return Slice(round, RoundSize(local_steps, batches.first(r)), local_steps * batches[r]);
}

std::vector<PositionRange> StepPositions(std::span<const PositionRange> round, int64_t local_steps,
                                         std::span<const int64_t> batches, int rank, int64_t step) {
  const size_t r = static_cast<size_t>(rank);
  return Slice(round, RoundSize(local_steps, batches.first(r)) + step * batches[r], batches[r]);
}

}  // namespace longstride
