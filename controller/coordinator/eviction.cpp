#include "controller/coordinator/eviction.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

namespace longstride {
namespace {

using Cut = std::pair<int64_t, int64_t>;
using Ranks = std::set<int64_t, std::greater<>>;  // compares by the highest rank first

constexpr size_t kMostDisjointCuts = 4;

bool Explained(const Cut& cut, const Ranks& evicted) {
  return evicted.contains(cut.first) || evicted.contains(cut.second);
}

// Cuts that have no rank in common: each needs an eviction of its own.
size_t DisjointCuts(std::span<const Cut> cuts) {
  Ranks touched;
  size_t count = 0;
  for (const Cut& cut : cuts) {
    if (Explained(cut, touched)) continue;
    touched.insert({cut.first, cut.second});
    ++count;
  }
  return count;
}

// Of all sets of `count` ranks more than `evicted` that explain all cuts, the one with the highest.
void Search(std::span<const Cut> cuts, size_t count, Ranks& evicted, std::optional<Ranks>& best) {
  const auto open =
      std::ranges::find_if(cuts, [&](const Cut& cut) { return !Explained(cut, evicted); });
  if (open == cuts.end()) {
    if (!best || std::ranges::lexicographical_compare(*best, evicted)) best = evicted;
    return;
  }
  if (count == 0) return;
  for (const int64_t rank : {open->first, open->second}) {
    evicted.insert(rank);
    Search(cuts, count - 1, evicted, best);
    evicted.erase(rank);
  }
}

Ranks MostCutFirst(std::span<const Cut> cuts) {
  Ranks evicted;
  while (true) {
    std::map<int64_t, int64_t, std::greater<>> open;
    for (const Cut& cut : cuts) {
      if (Explained(cut, evicted)) continue;
      ++open[cut.first];
      ++open[cut.second];
    }
    if (open.empty()) return evicted;
    evicted.insert(
        std::ranges::max_element(open, {}, [](const auto& o) { return o.second; })->first);
  }
}

}  // namespace

std::vector<int64_t> FewestToEvict(std::span<const Cut> cuts) {
  const size_t least = DisjointCuts(cuts);
  std::optional<Ranks> best;
  if (least > kMostDisjointCuts) best = MostCutFirst(cuts);
  for (size_t count = least; !best; ++count) {
    Ranks none;
    Search(cuts, count, none, best);
  }
  return {best->rbegin(), best->rend()};
}

}  // namespace longstride
