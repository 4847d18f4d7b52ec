#include "core/schedule/position_ranges.h"

#include <algorithm>

namespace longstride {

int64_t TotalSize(std::span<const PositionRange> ranges) {
  int64_t total = 0;
  for (const PositionRange& r : ranges) total += r.size();
  return total;
}

std::vector<PositionRange> Slice(std::span<const PositionRange> ranges, int64_t offset,
                                 int64_t count) {
  std::vector<PositionRange> slice;
  for (const PositionRange& r : ranges) {
    if (count <= 0) break;
    if (offset >= r.size()) {
      offset -= r.size();
      continue;
    }
    const int64_t take = std::min(count, r.size() - offset);
    slice.push_back({r.begin + offset, r.begin + offset + take});
    offset = 0;
    count -= take;
  }
  return slice;
}

bool PositionSet::Intersects(PositionRange range) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const PositionRange& r) {
    return std::max(r.begin, range.begin) < std::min(r.end, range.end);
  });
}

bool PositionSet::Contains(PositionRange range) const {
  if (range.size() == 0) return true;
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const PositionRange& r) {
    return r.begin <= range.begin && range.end <= r.end;
  });
}

void PositionSet::Add(PositionRange range) {
  if (range.size() <= 0) return;
  // The ranges that touch the new one, adjacent ones included, melt into it.
  const auto first =
      std::lower_bound(ranges_.begin(), ranges_.end(), range.begin,
                       [](const PositionRange& r, int64_t begin) { return r.end < begin; });
  auto last = first;
  for (; last != ranges_.end() && last->begin <= range.end; ++last) {
    range = {std::min(range.begin, last->begin), std::max(range.end, last->end)};
  }
  ranges_.insert(ranges_.erase(first, last), range);
}

void PositionSet::Remove(PositionRange range) {
  if (range.size() <= 0) return;
  std::vector<PositionRange> left;
  for (const PositionRange& r : ranges_) {
    const PositionRange before{r.begin, std::min(r.end, range.begin)};
    const PositionRange after{std::max(r.begin, range.end), r.end};
    if (before.size() > 0) left.push_back(before);
    if (after.size() > 0) left.push_back(after);
  }
  ranges_ = std::move(left);
}

}  // namespace longstride
