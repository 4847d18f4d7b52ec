#include "core/schedule/local_steps.h"

#include <algorithm>
#include <cmath>

namespace longstride {
namespace {

// min(max(floor(x), least), most) without casting what does not fit.
int64_t FloorWithin(double x, int64_t least, int64_t most) {
  if (!(x > static_cast<double>(least))) return std::min(least, most);
  if (x >= static_cast<double>(most)) return most;
  return static_cast<int64_t>(std::floor(x));
}

int64_t QuadraticRule(const LocalStepsSpec& spec, double learning_rate) {
  if (!(learning_rate > 0)) return spec.max_steps;
  const double ratio = spec.qsr_coefficient / learning_rate;
  return FloorWithin(ratio * ratio, spec.steps, spec.max_steps);
}

double Seconds(double x) {
  return std::isfinite(x) && x > 0 ? x : 0;
}

int64_t StepsForShare(const LocalStepsSpec& spec, double step_seconds, double sync_seconds) {
  const double step = Seconds(step_seconds);
  const double sync = Seconds(sync_seconds);
  const double share = spec.communication_share;
  if (sync == 0) return 1;
  if (step == 0) return spec.max_steps;
  const auto fits = [&](int64_t steps) {
    return sync <= share * (sync + static_cast<double>(steps) * step);
  };
  int64_t low = 1;
  int64_t high = spec.max_steps;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (fits(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

}  // namespace

int64_t LocalSteps(const LocalStepsSpec& spec, const LocalStepsInput& input) {
  int64_t steps = spec.steps;
  switch (spec.policy) {
    case LocalStepsPolicy::kConstant:
      break;
    case LocalStepsPolicy::kPostLocal:
      if (input.samples < spec.switch_samples) steps = 1;
      break;
    case LocalStepsPolicy::kQsr:
      steps = QuadraticRule(spec, input.learning_rate);
      break;
    case LocalStepsPolicy::kAuto:
      steps = StepsForShare(spec, input.step_seconds, input.sync_seconds);
      if (input.skew_limit > 0) steps = std::min(steps, input.skew_limit);
      break;
  }
  return std::max<int64_t>(1, steps);
}

}  // namespace longstride
