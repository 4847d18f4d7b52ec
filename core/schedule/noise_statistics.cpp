#include "core/schedule/noise_statistics.h"

#include "core/schedule/sums.h"

namespace longstride {
namespace {

// max(0, x), but keeps not-a-number.
double ClampAtZero(double x) {
  return x < 0 ? 0 : x;
}

}  // namespace

NoiseStatistics EstimateNoise(NoiseEstimator estimator, const RoundMeasurements& round) {
  NoiseStatistics statistics;
  switch (estimator) {
    case NoiseEstimator::kExact:
    case NoiseEstimator::kSketch:
      statistics = round.shards ? EstimateOverShards(round.workers, round.microbatches,
                                                     round.mean_norm_squared)
                                : EstimateBetweenWorkers(round.workers, round.mean_norm_squared);
      break;
    case NoiseEstimator::kPseudoGradient:
      statistics = EstimateFromUpdates(round.updates, round.mean_update_norm_squared,
                                       round.learning_rate_sum);
      break;
    case NoiseEstimator::kMicrobatch:
      return EstimateWithinWorkers(round.microbatches);
  }
  return statistics.workers >= 2 ? statistics : EstimateWithinWorkers(round.microbatches);
}

NoiseStatistics EstimateBetweenWorkers(std::span<const WorkerGradient> workers,
                                       double mean_norm_squared) {
  NoiseStatistics out;
  double weights = 0;
  double weighted_norms = 0;
  double inner_product_spread = 0;
  for (const WorkerGradient& w : workers) {
    if (w.batch == 0) continue;
    ++out.workers;
    out.samples += w.batch;
    weights += w.weight;
    weighted_norms += w.weight * w.norm_squared;
    const double deviation = w.inner_product - mean_norm_squared;
    inner_product_spread += w.weight * (deviation * deviation);
  }
  out.gradient_norm_squared = mean_norm_squared;
  if (out.workers < 2) return out;
  double dof = 0;
  for (const WorkerGradient& w : workers) {
    if (w.batch > 0) dof += w.weight / w.batch * (1 - w.weight / weights);
  }
  out.variance = ClampAtZero(weighted_norms - weights * mean_norm_squared) / dof;
  out.inner_product_variance = inner_product_spread / dof;
  return out;
}

NoiseStatistics EstimateOverShards(std::span<const WorkerGradient> workers,
                                   std::span<const WorkerMicrobatches> microbatches,
                                   double mean_norm_squared) {
  NoiseStatistics out = EstimateWithinWorkers(microbatches);
  out.gradient_norm_squared = mean_norm_squared;
  double weights = 0, noise = 0;
  for (const WorkerGradient& w : workers) weights += w.batch > 0 ? w.weight : 0;
  for (const WorkerGradient& w : workers) {
    const double share = w.weight / weights;
    if (w.batch > 0) noise += share * share / w.batch;
  }
  out.variance *= noise * out.samples;  // 1 where weights follow batches
  out.inner_product_variance *= noise * out.samples;
  return out;
}

NoiseStatistics EstimateWithinWorkers(std::span<const WorkerMicrobatches> workers) {
  NoiseStatistics out;
  double spread = 0;
  double inner_product_spread = 0;
  double dof = 0;
  double weighted_norms = 0;
  for (const WorkerMicrobatches& w : workers) {
    if (w.batch == 0) continue;
    ++out.workers;
    out.samples += w.batch;
    weighted_norms += w.batch * w.norm_squared;
    if (w.degrees_of_freedom <= 0) continue;  // one sample cannot be split
    spread += w.spread;
    inner_product_spread += w.inner_product_spread;
    dof += w.degrees_of_freedom;
  }
  if (out.samples == 0 || dof == 0) return out;
  out.variance = spread / dof;
  out.inner_product_variance = inner_product_spread / dof;
  // sum (b_m / B)(||g_m||^2 - variance / b_m) + variance / B.
  const double others = static_cast<double>(out.workers - 1);
  out.gradient_norm_squared = (weighted_norms - others * out.variance) / out.samples;
  return out;
}

NoiseStatistics EstimateFromUpdates(std::span<const WorkerUpdate> updates,
                                    double mean_update_norm_squared, double learning_rate_sum) {
  NoiseStatistics out;
  double weighted_norms = 0;
  for (const WorkerUpdate& u : updates) {
    if (u.samples == 0) continue;
    ++out.workers;
    out.samples += u.samples;
    weighted_norms += u.samples * u.norm_squared;
  }
  const double scale = learning_rate_sum * learning_rate_sum;
  out.gradient_norm_squared = mean_update_norm_squared / scale;
  if (out.workers < 2) return out;
  const double spread = ClampAtZero(weighted_norms - out.samples * mean_update_norm_squared);
  out.variance = spread / scale / static_cast<double>(out.workers - 1);
  return out;
}

WorkerMicrobatches SummarizeMicrobatches(std::span<const MicrobatchGradient> microbatches,
                                         double norm_squared) {
  WorkerMicrobatches out;
  out.norm_squared = norm_squared;
  double weighted_norms = 0;
  double weighted_products = 0;
  for (const MicrobatchGradient& j : microbatches) {
    out.batch += j.batch;
    weighted_norms += j.batch * j.norm_squared;
    weighted_products += j.batch * j.inner_product;
  }
  if (microbatches.empty()) return out;
  out.degrees_of_freedom = static_cast<double>(microbatches.size() - 1);
  out.spread = ClampAtZero(weighted_norms - out.batch * norm_squared);
  const double mean_product = weighted_products / out.batch;  // <g_m, gbar>
  out.inner_product_spread = 0;
  for (const MicrobatchGradient& j : microbatches) {
    const double deviation = j.inner_product - mean_product;
    out.inner_product_spread += j.batch * (deviation * deviation);
  }
  return out;
}

double MeanNormSquared(std::span<const double> weighted_sum, double weights) {
  return SquaredNorm(weighted_sum) / (weights * weights);
}

double CorrectedNormSquared(const NoiseStatistics& statistics) {
  return statistics.gradient_norm_squared - statistics.variance / statistics.samples;
}

double NoiseScale(const NoiseStatistics& statistics) {
  const double norm_squared = CorrectedNormSquared(statistics);
  if (norm_squared <= 0) return std::numeric_limits<double>::infinity();
  return statistics.variance / norm_squared;
}

double Skew(const NoiseStatistics& between, const NoiseStatistics& within) {
  return between.variance - within.variance;
}

}  // namespace longstride
