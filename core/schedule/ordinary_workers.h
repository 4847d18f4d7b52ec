// Which workers' gradients a robust statistic rests on. With a robust aggregation
// (training.synchronization.aggregation) an abnormal worker cannot move the average; it must not
// drive the norm test either. Pure, + - * / and sorting only, so all workers take the same decision
// from the same numbers.
#pragma once

#include <span>
#include <vector>

namespace longstride {

// By worker, whether its sketch lies within three times the median distance from the
// coordinate-wise median of the sketches. present[m] false: worker m has none, and is not ordinary.
// At least half of those present always are, however far the others are off; of fewer than three
// all are. All sketches have the same length.
[[nodiscard]] std::vector<bool> OrdinaryWorkers(
    const std::vector<std::span<const double>>& sketches, const std::vector<bool>& present);

}  // namespace longstride
