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

}  // namespace

Result<Ledger> Ledger::Restore(int64_t cursor, const std::vector<PositionRange>& discarded,
                               const std::vector<PositionRange>& holes) {
  Ledger ledger;
  ledger.cursor_ = cursor;
  PositionSet both;
  for (const auto* ranges : {&discarded, &holes}) {
    if (const Status status = AddDisjoint(*ranges, both); !status.ok()) {
      return DataError("ledger: " + status.error().message);
    }
  }
  if (cursor < 0 || (!both.empty() && both.ranges().back().end > cursor)) {
    return DataError(
        Format("ledger: cursor %lld is negative or below a booked position", Number(cursor)));
  }
  ledger.committed_.Add({0, cursor});
  for (const PositionRange& r : both.ranges()) ledger.committed_.Remove(r);
  for (const PositionRange& r : discarded) ledger.discarded_.Add(r);
  for (const PositionRange& r : holes) ledger.holes_.Add(r);
  return ledger;
}

std::vector<PositionRange> Ledger::Next(int64_t count) const {
  std::vector<PositionRange> next = Slice(holes_.ranges(), 0, count);
  const int64_t fresh = count - TotalSize(next);
  if (fresh > 0) next.push_back({cursor_, cursor_ + fresh});
  return next;
}

Status Ledger::Record(const RoundPositions& round) {
  PositionSet all;
  for (const auto* ranges : {&round.committed, &round.discarded, &round.lost}) {
    LONGSTRIDE_RETURN_IF_ERROR(AddDisjoint(*ranges, all));
  }
  int64_t cursor = cursor_;
  for (const PositionRange& r : all.ranges()) {
    const PositionRange old{r.begin, std::clamp(cursor_, r.begin, r.end)};
    const PositionRange fresh{old.end, r.end};
    if (!holes_.Contains(old)) {
      return BugError(Format("positions [%lld, %lld) were booked by an earlier round",
                             Number(old.begin), Number(old.end)));
    }
    if (fresh.size() == 0) continue;
    if (fresh.begin != cursor) {
      return BugError(Format("position %lld was skipped: the round goes on at %lld", Number(cursor),
                             Number(fresh.begin)));
    }
    cursor = fresh.end;
  }
  cursor_ = cursor;
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
  PositionSet expected;
  expected.Add({0, cursor_});
  if (all == expected) return {};
  for (const PositionRange& r : all.ranges()) expected.Remove(r);
  const int64_t first = expected.empty() ? cursor_ : expected.ranges().front().begin;
  return BugError(
      Format("position %lld breaks the ledger law (cursor %lld)", Number(first), Number(cursor_)));
}

}  // namespace longstride
