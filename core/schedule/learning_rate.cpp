#include "core/schedule/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace longstride {
namespace {

// Taylor polynomials for |x| <= pi/4; the first term left out is below 1e-21.
double CosNearZero(double x) {
  const double y = x * x;
  double sum = 1;
  for (int k = 18; k >= 2; k -= 2) sum = 1.0 - y / static_cast<double>(k * (k - 1)) * sum;
  return sum;
}

double SinNearZero(double x) {
  const double y = x * x;
  double sum = 1;
  for (int k = 19; k >= 3; k -= 2) sum = 1.0 - y / static_cast<double>(k * (k - 1)) * sum;
  return x * sum;
}

// How far the decay has gone, in [0, 1]; 0 when it has no end.
double DecayFraction(const LearningRateSpec& spec, int64_t max_samples, double position) {
  const int64_t end = spec.decay_samples > 0 ? spec.decay_samples : max_samples;
  if (end <= 0) return 0;
  const double begin = static_cast<double>(spec.warmup_samples);
  const double length = static_cast<double>(end) - begin;
  if (length <= 0) return position < begin ? 0 : 1;
  return std::clamp((position - begin) / length, 0.0, 1.0);
}

double Schedule(const LearningRateSpec& spec, int64_t max_samples, double position) {
  switch (spec.schedule) {
    case ScheduleKind::kConstant:
      return 1;
    case ScheduleKind::kCosine: {
      const double t = DecayFraction(spec, max_samples, position);
      return spec.final_fraction + (1.0 - spec.final_fraction) * (0.5 * (1.0 + CosPi(t)));
    }
    case ScheduleKind::kLinear: {
      const double t = DecayFraction(spec, max_samples, position);
      return spec.final_fraction + (1.0 - spec.final_fraction) * (1.0 - t);
    }
    case ScheduleKind::kStep: {
      double factor = 1;
      for (int64_t at : spec.step_samples) {
        if (position >= static_cast<double>(at)) factor *= spec.step_factor;
      }
      return factor;
    }
  }
  return 1;
}

}  // namespace

double CosPi(double x) {
  if (x > 0.5) return -CosPi(1.0 - x);
  if (x > 0.25) return SinNearZero(std::numbers::pi * (0.5 - x));
  return CosNearZero(std::numbers::pi * x);
}

double ScheduledRate(const LearningRateSpec& spec, int64_t max_samples,
                     const ScheduleProgress& progress) {
  const double warmup = static_cast<double>(spec.warmup_samples);
  double factor = Schedule(spec, max_samples, progress.position);
  if (progress.position < warmup) {
    factor *= std::min(1.0, (progress.position + progress.step) / warmup);
  }
  return spec.value * factor;
}

double RateAfterWarmup(const LearningRateSpec& spec, int64_t max_samples, double position) {
  const double warmup = static_cast<double>(spec.warmup_samples);
  return ScheduledRate(spec, max_samples, {std::max(position, warmup), 0});
}

double AdaScaleGain(double variance, double corrected_norm_squared, int64_t batch,
                    int64_t initial_batch) {
  if (!std::isfinite(variance) || !std::isfinite(corrected_norm_squared) || variance <= 0) return 1;
  const double scale = static_cast<double>(batch) / static_cast<double>(initial_batch);
  const double base_variance = variance / static_cast<double>(initial_batch);
  const double signal = std::max(0.0, corrected_norm_squared);
  return (base_variance + signal) / (base_variance / scale + signal);
}

double CouplingFactor(CouplingKind coupling, int64_t batch, int64_t initial_batch, double gain) {
  const double scale = static_cast<double>(batch) / static_cast<double>(initial_batch);
  switch (coupling) {
    case CouplingKind::kNone:
      return 1;
    case CouplingKind::kLinear:
      return scale;
    case CouplingKind::kSqrt:
      return std::sqrt(scale);
    case CouplingKind::kAdascale:
      return gain;
  }
  return 1;
}

double ProgressOfStep(CouplingKind coupling, int64_t batch, int64_t initial_batch, double gain) {
  if (coupling == CouplingKind::kAdascale) return gain * static_cast<double>(initial_batch);
  return static_cast<double>(batch);
}

}  // namespace longstride
