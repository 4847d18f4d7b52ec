// The middle of measurements: what a few outliers cannot move.
#pragma once

#include <vector>

namespace longstride {

// Of an even number of values the mean of the two in the middle. `values` must not be empty.
[[nodiscard]] double Median(std::vector<double> values);

}  // namespace longstride
