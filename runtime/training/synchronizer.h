// The exchange at a round's end: the fp64 block, one weighted average of updates and buffers, and
// for the tests that ask for it a second exchange. Nothing of the replica's committed state changes
// until every collective call has succeeded. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/result.h"
#include "core/schedule/noise_statistics.h"
#include "runtime/collective/collective.h"
#include "runtime/training/local_round.h"
#include "runtime/training/replica.h"
#include "runtime/training/round_statistics.h"
#include "runtime/training/stopwatch.h"

namespace longstride {

// What a job's policies ask to be measured, with M workers.
struct MeasurementPlan {
  NoiseEstimator estimator = NoiseEstimator::kSketch;
  bool between = false;         // M > 1: compare workers
  bool within = false;          // compare micro-batches; step 0 is split
  bool inner_products = false;  // the inner-product tests
  bool shards = false;          // data are local: tell skew from noise
  bool robust = false;          // leave abnormal workers out, as the aggregation does
};
// A fixed batch of shared data is only observed, by the sketch between workers, and costs no split
// of step 0.
[[nodiscard]] MeasurementPlan PlanMeasurements(const TrainingJobSpec& job, int workers);
// Of the sketch that workers need; 0 = none.
[[nodiscard]] int64_t SketchSize(const TrainingJobSpec& job, int workers);

// What all ranks know after the exchange, the same on all of them.
struct Exchange {
  std::vector<RankSlot> slots;
  int64_t samples = 0;  // that count
  double weight = 0;    // sum of the slots'
  bool statistics_finite = true;
  std::vector<bool> ordinary;  // by rank: its gradient takes part in the statistics
  NoiseStatistics noise;       // by the job's estimator
  double skew = kNotMeasured;
  double noise_within = kNotMeasured;  // per-sample variance within workers, beside `skew`
};

template <typename T>
class Synchronizer {
 public:
  // `shard_samples`: size of this rank's shard; 0 for shared data.
  Synchronizer(Replica<T>& replica, const TrainingJobSpec& job, int workers, int64_t shard_samples);

  // `slot` is this rank's, without what is computed here (digest, counters and b_m are the
  // caller's). Without `step_zero` of every rank, or under robust statistics of any, the round's
  // gradient noise is not measured.
  // `first_holder`: the lowest rank whose integer buffers are those of the round.
  // Applies the outer step on success: parameters, buffers, inner state are those of the next
  // round. kBug when ranks disagree; the collective's error when it fails.
  Result<Exchange> Run(const RoundSettings& settings, const std::vector<Member>& members,
                       RankSlot slot, StepZero<T>* step_zero, int first_holder,
                       Collective& collective, Stopwatch& watch, ActivitySeconds& seconds);

 private:
  Status AverageUpdates(const Exchange& exchange, int rank, Collective& collective,
                        Stopwatch& watch, ActivitySeconds& seconds);
  // Without `step_zero` this rank takes part in the calls with zeros.
  Status ExchangeGradients(Exchange& exchange, StepZero<T>* step_zero, Collective& collective,
                           Stopwatch& watch, ActivitySeconds& seconds);
  // Of the ordinary workers: sum w_m S_m.
  [[nodiscard]] std::vector<double> SketchSum(const Exchange& exchange);
  void Commit(const Exchange& exchange, const RoundSettings& settings, int rank);

  Replica<T>& replica_;
  const TrainingSpec& training_;
  MeasurementPlan measure_;
  int64_t shard_samples_;
  StatisticsBlock block_;
  RoundMeasurements measurements_;
  // Updates, then the inner state where it is averaged, then the buffers.
  AlignedBuffer<T> message_;
};

extern template class Synchronizer<float>;
extern template class Synchronizer<double>;

}  // namespace longstride
