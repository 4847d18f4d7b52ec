#include "core/schedule/ledger.h"

#include <algorithm>

#include "core/base/format.h"

namespace longstride {
namespace {

long long Number(int64_t n) {
  return n;
}

// The set of all the ranges, or a message when one is malformed or two overlap.
Status AddDisjoint(const std::vector<PositionRange>& ranges, PositionSet& set) {
  for (const PositionRange& r : ranges) {
    if (r.begin < 0 || r.end < r.begin) {
      return BugError(
          Format("positions [%lld, %lld) are not a range", Number(r.begin), Number(r.end)));
    }
    if (set.Intersects(r)) {
      return BugError(
          Format("positions [%lld, %lld) are booked twice", Number(r.begin), Number(r.end)));
    }
    set.Add(r);
  }
  return {};
}

// All that was handed out.
PositionSet Below(const ShardCursors& cursors) {
  PositionSet set;
  for (const auto& [shard, cursor] : cursors) {
    set.Add({ShardBegin(shard), ShardBegin(shard) + cursor});
  }
  return set;
}

}  // namespace

Result<Ledger> Ledger::Restore(const ShardCursors& cursors,
                               const std::vector<PositionRange>& discarded,
                               const std::vector<PositionRange>& holes) {
  Ledger ledger;
  PositionSet both;
  for (const auto* ranges : {&discarded, &holes}) {
    if (const Status status = AddDisjoint(*ranges, both); !status.ok()) {
      return DataError("ledger: " + status.error().message);
    }
  }
  for (const auto& [shard, cursor] : cursors) {
    if (shard < 0 || shard >= kMaxShards || cursor < 0 || cursor > kShardSpan) {
      return DataError(Format("ledger: shard %lld with cursor %lld is out of bounds", Number(shard),
                              Number(cursor)));
    }
    if (cursor > 0) ledger.cursors_[shard] = cursor;
  }
  ledger.committed_ = Below(ledger.cursors_);
  for (const PositionRange& r : both.ranges()) {
    if (!ledger.committed_.Contains(r)) {
      return DataError(Format("ledger: the booked positions [%lld, %lld) are beyond the cursor",
                              Number(r.begin), Number(r.end)));
    }
    ledger.committed_.Remove(r);
  }
  for (const PositionRange& r : discarded) ledger.discarded_.Add(r);
  for (const PositionRange& r : holes) ledger.holes_.Add(r);
  return ledger;
}

int64_t Ledger::cursor() const {
  int64_t sum = 0;
  for (const auto& [shard, cursor] : cursors_) sum += cursor;
  return sum;
}

int64_t Ledger::Position(int64_t shard) const {
  const auto it = cursors_.find(shard);
  return ShardBegin(shard) + (it == cursors_.end() ? 0 : it->second);
}

std::vector<PositionRange> Ledger::HolesOf(int64_t shard) const {
  std::vector<PositionRange> holes;
  for (const PositionRange& r : holes_.ranges()) {
    if (ShardOf(r.begin) == shard) holes.push_back(r);
  }
  return holes;
}

std::vector<PositionRange> Ledger::Next(int64_t count, int64_t shard) const {
  std::vector<PositionRange> next = Slice(HolesOf(shard), 0, count);
  const int64_t fresh = count - TotalSize(next), from = Position(shard);
  if (fresh > 0) next.push_back({from, from + fresh});
  return next;
}

Status Ledger::Record(const RoundPositions& round) {
  PositionSet all;
  for (const auto* ranges : {&round.committed, &round.discarded, &round.lost}) {
    LONGSTRIDE_RETURN_IF_ERROR(AddDisjoint(*ranges, all));
  }
  ShardCursors cursors = cursors_;
  for (const PositionRange& r : all.ranges()) {
    const int64_t shard = ShardOf(r.begin), handed_out = Position(shard);
    const PositionRange old{r.begin, std::clamp(handed_out, r.begin, r.end)};
    const PositionRange fresh{old.end, r.end};
    if (!holes_.Contains(old)) {
      return BugError(Format("positions [%lld, %lld) were booked by an earlier round",
                             Number(old.begin), Number(old.end)));
    }
    if (fresh.size() == 0) continue;
    const int64_t next = ShardBegin(shard) + cursors[shard];
    if (fresh.begin != next) {
      return BugError(Format("position %lld was skipped: the round goes on at %lld", Number(next),
                             Number(fresh.begin)));
    }
    if (ShardOf(fresh.end - 1) != shard) {
      return BugError(Format("shard %lld has no position left", Number(shard)));
    }
    cursors[shard] += fresh.size();
  }
  cursors_ = std::move(cursors);
  for (const PositionRange& r : all.ranges()) holes_.Remove(r);
  for (const PositionRange& r : round.committed) committed_.Add(r);
  for (const PositionRange& r : round.discarded) discarded_.Add(r);
  for (const PositionRange& r : round.lost) holes_.Add(r);
  return {};
}

Status Ledger::Check() const {
  PositionSet all;
  for (const PositionSet* set : {&committed_, &discarded_, &holes_}) {
    LONGSTRIDE_RETURN_IF_ERROR(AddDisjoint(set->ranges(), all));
  }
  PositionSet expected = Below(cursors_);
  if (all == expected) return {};
  for (const PositionRange& r : all.ranges()) expected.Remove(r);
  const int64_t first = expected.empty() ? cursor() : expected.ranges().front().begin;
  return BugError(
      Format("position %lld breaks the ledger law (cursor %lld)", Number(first), Number(cursor())));
}

}  // namespace longstride
