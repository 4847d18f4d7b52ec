#include "core/schedule/skew.h"

#include <algorithm>
#include <cmath>

namespace longstride {
namespace {

constexpr double kMemory = 0.9;
constexpr double kSamplingError = 0.1;  // of skew / noise

}  // namespace

SkewAverage Observe(const SkewAverage& average, double skew, double noise) {
  if (!std::isfinite(skew) || !std::isfinite(noise) || noise < 0) return average;
  if (average.observed == 0) return {1, skew, noise};
  return {average.observed + 1, kMemory * average.skew + (1 - kMemory) * skew,
          kMemory * average.noise + (1 - kMemory) * noise};
}

int64_t SkewLimit(const LocalStepsSpec& spec, const SkewAverage& average) {
  const double excess = average.skew - kSamplingError * average.noise;
  if (average.observed == 0 || !(excess > 0)) return 0;
  const double steps = spec.skew_tolerance * average.noise / excess;
  if (steps >= static_cast<double>(spec.max_steps)) return 0;
  return std::max<int64_t>(1, static_cast<int64_t>(steps));
}

}  // namespace longstride
