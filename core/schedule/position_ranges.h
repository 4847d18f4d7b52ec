// Ranges of sample positions and sets of them. A position counts samples from the start of the job,
// over all epochs (sample_order.h turns it into an epoch and an index).
//
// With data.placement local every worker reads a shard of its own. All shards lie on one line of
// positions: position p of shard s is s * kShardSpan + p. Shared data are shard 0.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace longstride {

// [begin, end); empty when begin == end.
struct PositionRange {
  int64_t begin = 0;
  int64_t end = 0;
  [[nodiscard]] int64_t size() const { return end - begin; }
  friend bool operator==(const PositionRange&, const PositionRange&) = default;
};

inline constexpr int64_t kShardSpan = int64_t{1} << 40;  // positions of a shard, over all epochs
inline constexpr int64_t kMaxShards = 8192;  // so that every position is exact as a double
[[nodiscard]] constexpr int64_t ShardOf(int64_t position) {
  return position / kShardSpan;
}
[[nodiscard]] constexpr int64_t ShardBegin(int64_t shard) {
  return shard * kShardSpan;
}

// Samples in all the ranges together.
[[nodiscard]] int64_t TotalSize(std::span<const PositionRange> ranges);

// Positions `offset`, ..., `offset + count - 1` of the sequence that the ranges make end to end;
// what lies beyond its end is left off. No empty ranges in the result.
[[nodiscard]] std::vector<PositionRange> Slice(std::span<const PositionRange> ranges,
                                               int64_t offset, int64_t count);

// A set of positions, kept as sorted, disjoint, non-adjacent, non-empty ranges.
class PositionSet {
 public:
  [[nodiscard]] const std::vector<PositionRange>& ranges() const { return ranges_; }
  [[nodiscard]] bool empty() const { return ranges_.empty(); }
  [[nodiscard]] int64_t size() const { return TotalSize(ranges_); }  // positions
  [[nodiscard]] bool Intersects(PositionRange range) const;
  [[nodiscard]] bool Contains(PositionRange range) const;  // all of it; true for an empty range
  void Add(PositionRange range);                           // union
  void Remove(PositionRange range);                        // difference
  friend bool operator==(const PositionSet&, const PositionSet&) = default;

 private:
  std::vector<PositionRange> ranges_;
};

}  // namespace longstride
