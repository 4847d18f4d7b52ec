// The books of exactly-once reading. Every position below the cursor is in exactly one of three
// sets:
//   committed  its sample counted in a committed round,
//   discarded  it was read, but its worker's update was thrown away (not finite), never to be read
//              again,
//   holes      it was handed out and then lost with its worker; the next rounds read it first.
// So committed = [0, cursor) minus holes minus discarded, always (the ledger law), and no sample
// counts twice within an epoch.
//
// Every shard (position_ranges.h) has a cursor of its own, and the law holds in each: nobody but
// its own worker, or that worker's replacement, can read a shard's holes. A plain value; not
// thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "core/base/result.h"
#include "core/schedule/position_ranges.h"

namespace longstride {

// What became of the positions that one round handed out.
struct RoundPositions {
  std::vector<PositionRange> committed;
  std::vector<PositionRange> discarded;
  std::vector<PositionRange> lost;  // become, or stay, holes
};

// By shard, the number of its positions that were handed out; shards without any are left out.
using ShardCursors = std::map<int64_t, int64_t>;

class Ledger {
 public:
  Ledger() = default;
  // From a checkpoint; kData when the sets break the ledger law.
  [[nodiscard]] static Result<Ledger> Restore(const ShardCursors& cursors,
                                              const std::vector<PositionRange>& discarded,
                                              const std::vector<PositionRange>& holes);

  [[nodiscard]] const ShardCursors& cursors() const { return cursors_; }
  [[nodiscard]] int64_t cursor() const;  // positions handed out, over all shards
  [[nodiscard]] const PositionSet& committed() const { return committed_; }
  [[nodiscard]] const PositionSet& discarded() const { return discarded_; }
  [[nodiscard]] const PositionSet& holes() const { return holes_; }

  // The next `count` positions of a shard to read: holes in ascending order, then from the cursor
  // on. A round that is thrown away as a whole is not recorded, so asking again gives the same.
  [[nodiscard]] std::vector<PositionRange> Next(int64_t count, int64_t shard = 0) const;
  // Those of a shard.
  [[nodiscard]] std::vector<PositionRange> HolesOf(int64_t shard) const;

  // Books a round. Its ranges must be disjoint, each position a hole or at or beyond its shard's
  // cursor, and those beyond must follow the cursor without a gap. Otherwise kBug naming the
  // position, and nothing changes.
  Status Record(const RoundPositions& round);

  // The ledger law, checked from scratch; kBug naming the first position that breaks it.
  [[nodiscard]] Status Check() const;

 private:
  // Where the next position of a shard stands on the line.
  [[nodiscard]] int64_t Position(int64_t shard) const;

  ShardCursors cursors_;
  PositionSet committed_;
  PositionSet discarded_;
  PositionSet holes_;
};

}  // namespace longstride
