// A mean that a few abnormal members cannot move: of each element the largest and smallest values
// are left out [Yin et al. 2018, coordinate-wise trimmed mean]. No plain sum can do that, so each
// member reduces one shard of all members' messages: all-to-all, reduce, all-gather. As many bytes
// as a ring all-reduce.
#pragma once

#include <span>
#include <vector>

#include "runtime/collective/collective.h"

namespace longstride {

// Values left out at each end of `contributors`: a quarter, at least one, none below three.
[[nodiscard]] int TrimmedAtEachEnd(int contributors);

// In place: every member ends with the trimmed mean over the members r with contributes[r], with
// the same bits on all of them. Without contributors the data stay as they are. contributes.size()
// == collective.size(). Failures as of Collective.
[[nodiscard]] Status AllReduceTrimmedMean(Collective& collective, std::span<float> data,
                                          const std::vector<bool>& contributes, Purpose purpose);
[[nodiscard]] Status AllReduceTrimmedMean(Collective& collective, std::span<double> data,
                                          const std::vector<bool>& contributes, Purpose purpose);

}  // namespace longstride
