// Which members of a generation to do without when some cannot hear each other though all reach the
// coordinator. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace longstride {

// `cuts`: pairs of ranks, in either order, one of which hears nothing of the other. Returns the
// ranks without which every cut is explained, ascending: as few as possible, and of several such
// sets the one with the highest ranks (the lower rank stays, so that it is the same worker each
// time). Where that would take too long to find, more than four cuts that have no rank in common,
// ranks with the most cuts go first, and there may be a few more than necessary.
[[nodiscard]] std::vector<int64_t> FewestToEvict(std::span<const std::pair<int64_t, int64_t>> cuts);

}  // namespace longstride
