#include "core/schedule/batch_growth.h"

#include <algorithm>
#include <cmath>

namespace longstride {
namespace {

int64_t WithinLimits(int64_t batch, const GlobalBatchLimits& limits) {
  return std::min(std::max(batch, limits.min), limits.max);
}

bool Usable(const NormTestSpec& spec, const NoiseStatistics& s) {
  if (!std::isfinite(s.variance) || s.variance < 0) return false;
  if (!std::isfinite(s.gradient_norm_squared) || !std::isfinite(CorrectedNormSquared(s))) {
    return false;
  }
  return spec.test == BatchTest::kNorm || std::isfinite(s.inner_product_variance);
}

NoiseAverages Averaged(double ema, const GrowthState& state, const NoiseStatistics& s) {
  const bool has_products = std::isfinite(s.inner_product_variance);
  NoiseAverages now{s.variance, s.gradient_norm_squared, CorrectedNormSquared(s),
                    has_products ? s.inner_product_variance : 0.0};
  if (state.observed == 0) return now;
  const auto mix = [ema](double old, double value) { return ema * old + (1.0 - ema) * value; };
  const NoiseAverages& old = state.average;
  return {mix(old.variance, now.variance),
          mix(old.gradient_norm_squared, now.gradient_norm_squared),
          mix(old.corrected_norm_squared, now.corrected_norm_squared),
          mix(old.inner_product_variance, now.inner_product_variance)};
}

// The batch that the outcome asks for, before limits; all in double, since required may be
// infinite.
double Wanted(const NormTestSpec& spec, double batch, double required) {
  if (required > (1.0 + spec.hysteresis) * batch) {
    const double most = std::max(batch + 1.0, std::floor(spec.max_growth * batch));
    return std::min(std::ceil(required), most);
  }
  if (!spec.monotone && required < (1.0 - spec.hysteresis) * batch) {
    const double least = std::min(batch - 1.0, std::ceil(batch / spec.max_growth));
    return std::max(std::ceil(required), least);
  }
  return batch;
}

}  // namespace

int64_t WantedBatch(const BatchSpec& spec, const GrowthState& state) {
  return spec.policy == BatchPolicy::kFixed ? spec.initial : state.batch;
}

GrowthState InitialGrowth(const BatchSpec& spec, const GlobalBatchLimits& limits) {
  GrowthState state;
  state.batch = WithinLimits(spec.initial, limits);
  return state;
}

GrowthStep Advance(const BatchSpec& spec, const GrowthState& state,
                   const NoiseStatistics& statistics, const GlobalBatchLimits& limits) {
  const NormTestSpec& test = spec.norm_test;
  GrowthStep step;
  step.next = state;
  step.next.batch = WithinLimits(WantedBatch(spec, state), limits);
  if (!Usable(test, statistics)) {
    ++step.next.skipped;
    step.skipped = true;
    return step;
  }
  const NoiseAverages average = Averaged(test.ema, state, statistics);
  step.next.average = average;
  ++step.next.observed;
  const double norm_squared =
      test.bias_corrected ? average.corrected_norm_squared : average.gradient_norm_squared;
  step.outcome = TestBatch(test, {average.variance, norm_squared, average.inner_product_variance},
                           state.batch, statistics.workers);
  if (spec.policy == BatchPolicy::kAdaptive) {
    const double wanted =
        Wanted(test, static_cast<double>(state.batch), step.outcome.required_batch);
    const double bounded = std::min(wanted, static_cast<double>(limits.max));
    step.next.batch = WithinLimits(static_cast<int64_t>(bounded), limits);
  }
  return step;
}

}  // namespace longstride
