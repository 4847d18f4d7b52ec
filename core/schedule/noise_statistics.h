// Gradient noise of one round, estimated from a few fp64 numbers per worker (algorithms of the norm
// test). All workers compute it from the same all-reduced numbers in rank order with + - * / only,
// so they get the same bits. Nothing here fails: what cannot be estimated is not-a-number, and the
// growth policy (batch_growth.h) counts and skips it.
//
// Notation: g_m is the mean gradient of worker m over its b_m samples at the anchor, B = sum b_m,
// gbar = sum (w_m / W) g_m, W = sum w_m, M the number of workers with b_m > 0. The weights are
// those of the averaging: w_m = b_m for shared data, the size of the worker's shard for local data.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "core/spec/training_job.h"

namespace longstride {

inline constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

// What the tests need. Unit: u^2, where u is the unit of a gradient's norm, unless stated
// otherwise.
struct NoiseStatistics {
  int64_t workers = 0;  // M
  double samples = 0;   // over which gbar is a mean: B (pseudoGradient: H * B)
  // Per-sample variance of the gradient, summed over coordinates (sigma^2, the trace of the
  // covariance).
  double variance = kNotMeasured;
  // ||gbar||^2 as observed, noise included: its expectation is ||grad F||^2 + sigma^2 / samples.
  // The microbatch estimator does not observe gbar and may give a value below 0.
  double gradient_norm_squared = kNotMeasured;
  // Per-sample variance of <g, gbar> (u^4); only the inner-product and augmented tests need it.
  double inner_product_variance = kNotMeasured;
};

// One worker in the exact and sketch estimators. For sketch, S_m stands in place of g_m everywhere.
struct WorkerGradient {
  double batch = 0;         // b_m, samples; 0 = takes no part
  double norm_squared = 0;  // ||g_m||^2
  // <g_m, gbar>. Known only once gbar is, so it costs one more exchange of one fp64 per rank.
  double inner_product = kNotMeasured;
  double weight = batch;  // w_m
};

// One worker in the microbatch estimator: spread of its micro-batches j of b_j samples around g_m.
struct WorkerMicrobatches {
  double batch = 0;                            // b_m, samples; 0 = takes no part
  double norm_squared = 0;                     // ||g_m||^2
  double spread = 0;                           // sum_j b_j ||g_j - g_m||^2
  double degrees_of_freedom = 0;               // number of micro-batches - 1
  double inner_product_spread = kNotMeasured;  // sum_j b_j <g_j - g_m, gbar>^2
};

// One micro-batch, for SummarizeMicrobatches.
struct MicrobatchGradient {
  double batch = 0;                     // b_j, samples
  double norm_squared = 0;              // ||g_j||^2
  double inner_product = kNotMeasured;  // <g_j, gbar>
};

// One worker in the pseudoGradient estimator.
struct WorkerUpdate {
  double samples = 0;       // n_m = H * b_m
  double norm_squared = 0;  // ||Delta_m||^2
};

// Everything that a round measured; an estimator reads only its own part. Vectors are in rank
// order.
struct RoundMeasurements {
  std::vector<WorkerGradient> workers;      // exact, sketch
  double mean_norm_squared = kNotMeasured;  // exact, sketch: ||gbar||^2, or of its sketch
  bool shards = false;  // exact, sketch: data are local, so EstimateOverShards holds
  std::vector<WorkerMicrobatches> microbatches;    // microbatch, and every estimator when M = 1
  std::vector<WorkerUpdate> updates;               // pseudoGradient
  double mean_update_norm_squared = kNotMeasured;  // pseudoGradient: ||sum (n_m / n) Delta_m||^2
  double learning_rate_sum = 0;                    // pseudoGradient: sum of the H rates (H * lr)
};

// The estimator that the manifest names; falls back to microbatch when fewer than two workers took
// part.
[[nodiscard]] NoiseStatistics EstimateNoise(NoiseEstimator estimator,
                                            const RoundMeasurements& round);

// exact and sketch: sigma^2 = (sum w_m ||g_m||^2 - W ||gbar||^2) / sum (w_m / b_m)(1 - w_m / W),
// clamped at 0, which with w_m = b_m has M - 1 below the line; unbiased for independent samples,
// for fixed unequal b_m too. Sees noise and skew between workers. [Lau et al. 2024, arXiv
// 2406.13936, with workers standing in for samples]
[[nodiscard]] NoiseStatistics EstimateBetweenWorkers(std::span<const WorkerGradient> workers,
                                                     double mean_norm_squared);

// microbatch: sigma^2 pooled over workers, sum spread / sum degrees of freedom; sees noise within
// workers only. ||grad F||^2 is sum (b_m / B)(||g_m||^2 - sigma^2 / b_m) [McCandlish et al. 2018,
// arXiv 1812.06162, appendix A]; gradient_norm_squared is that plus sigma^2 / B, to mean what it
// means for the other estimators.
[[nodiscard]] NoiseStatistics EstimateWithinWorkers(std::span<const WorkerMicrobatches> workers);

// exact and sketch with local data, whose workers are strata rather than samples of one
// distribution: what differs between them is skew, not noise of gbar, and no batch lowers it. So
// the noise is that within workers, sum (w_m / W)^2 sigma^2 / b_m, given as the variance per sample
// that makes it variance / B; ||gbar||^2 is observed. Not measured where no worker's batch was
// split.
[[nodiscard]] NoiseStatistics EstimateOverShards(std::span<const WorkerGradient> workers,
                                                 std::span<const WorkerMicrobatches> microbatches,
                                                 double mean_norm_squared);

// pseudoGradient: -Delta_m / learning_rate_sum in place of g_m and n_m in place of b_m. Sees noise
// and the drift of H steps, so it overestimates for H > 1; kept for comparison.
[[nodiscard]] NoiseStatistics EstimateFromUpdates(std::span<const WorkerUpdate> updates,
                                                  double mean_update_norm_squared,
                                                  double learning_rate_sum);

// One worker's micro-batches in fp64: spread = sum b_j ||g_j||^2 - b ||g_m||^2, clamped at 0.
// `norm_squared` is ||g_m||^2 of their weighted mean.
[[nodiscard]] WorkerMicrobatches SummarizeMicrobatches(
    std::span<const MicrobatchGradient> microbatches, double norm_squared);

// ||gbar||^2 from sum w_m g_m (or w_m S_m) and W.
[[nodiscard]] double MeanNormSquared(std::span<const double> weighted_sum, double weights);

// ||grad F||^2 without the noise's share: gradient_norm_squared - variance / samples; may be below
// 0.
[[nodiscard]] double CorrectedNormSquared(const NoiseStatistics& statistics);

// Simple noise scale sigma^2 / ||grad F||^2 in samples [McCandlish et al. 2018, eq. 2.9]; infinity
// when the noise hides the gradient, not-a-number when not measured.
[[nodiscard]] double NoiseScale(const NoiseStatistics& statistics);

// Skew between workers, in the unit of variance: what the between-worker estimate (exact, sketch)
// sees beyond the noise within workers: with equal weights and batches, in expectation,
// sum b_m ||grad F_m - grad F||^2 / (M - 1).
// More batch does not lower it. Below 0 only by sampling error.
[[nodiscard]] double Skew(const NoiseStatistics& between, const NoiseStatistics& within);

}  // namespace longstride
