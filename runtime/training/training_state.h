// What is committed at a round's end besides tensors: the cursor, the batch schedule, the plan.
// The same on every worker, a plain value, part of the checkpoint. And the pure functions
// from it to the next round.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <vector>

#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "core/schedule/batch_growth.h"
#include "core/schedule/ledger.h"
#include "core/schedule/skew.h"
#include "core/spec/training_job.h"

namespace longstride {

struct TrainingState {
  int64_t round = 0;        // rounds committed
  GenerationId generation;  // that committed the last one
  Ledger ledger;            // its cursor is the position that the next round reads from
  GrowthState growth;       // its batch is B of the next round; 0 before the first
  SkewAverage skew;         // of local data
  std::map<int64_t, int64_t> shard_samples;  // local data: sizes of the shards known so far
  // Of the learning-rate schedule, samples: SamplesDone or, with adascale, what they gained.
  double progress = 0;
  int64_t evaluations = 0;  // evaluation marks (multiples of everySamples) that were evaluated
  bool target_reached = false;
  std::optional<Plan> plan;  // of the last round; first_round = the first that it really governed
};

// A round as it will be run, the same on every worker.
struct RoundSettings {
  int64_t number = 0;  // 1 for the first
  Plan plan;           // that governs it
  GlobalBatchLimits limits;
  int64_t global_batch = 0;            // B
  std::vector<int64_t> local_batches;  // b_m by rank, sum B
  int64_t local_steps = 0;             // H
  std::vector<double> learning_rates;  // by local step, coupling included
  double progress_per_step = 0;
};

// The seed of the order of samples (SampleOrder) of a shard in a job with this seed.
[[nodiscard]] uint64_t SampleOrderSeed(const TrainingJobSpec& job, int64_t shard = 0);

// Samples after which training is over: the smaller of maxSamples and maxEpochs * dataset_size.
[[nodiscard]] int64_t SampleLimit(const TrainingSpec& spec, int64_t dataset_size);

// Positions that are done with: below the cursor and no hole.
[[nodiscard]] int64_t SamplesDone(const Ledger& ledger);

// Multiples of evaluation.everySamples (default: one epoch) in [1, cursor].
[[nodiscard]] int64_t EvaluationMarks(const EvaluationSpec& spec, int64_t dataset_size,
                                      int64_t cursor);

// The plan for round `number` among those with version <= `agreed` (which every member has): the
// one with the largest first_round <= number, the newest of equals. Null if there is none.
[[nodiscard]] const Plan* GoverningPlan(const std::vector<Plan>& plans, int64_t number,
                                        int64_t agreed);

// Bounds of B under a plan.
[[nodiscard]] GlobalBatchLimits LimitsOf(const Plan& plan, const LimitsSpec& limits);

// The next round under `plan`. The last one takes fewer steps H, so that the
// run ends at the sample limit or less than one global batch beyond it. Ranks that are `idle` take
// nothing of the batch (empty: none is). kUser when the batch cannot be split.
[[nodiscard]] Result<RoundSettings> PlanRound(const TrainingJobSpec& job, int64_t dataset_size,
                                              const TrainingState& state, const Plan& plan,
                                              const std::vector<bool>& idle = {});

// Progress of the schedule after a round of which `lost` positions are still to be read, and will
// count then. `state.ledger` has it booked; `state.progress` is that before it.
[[nodiscard]] double ProgressAfter(CouplingKind coupling, const TrainingState& state,
                                   const RoundSettings& settings, int64_t lost);

// The positions that the round takes: the next ones or, with local data, the next of each rank's
// shard, rank by rank. `shards` by rank; empty for shared data.
[[nodiscard]] std::vector<PositionRange> PositionsOf(const RoundSettings& settings,
                                                     const Ledger& ledger,
                                                     const std::vector<int64_t>& shards);

// A digest of all that decides the next round, so that ranks that drifted apart are found out.
[[nodiscard]] uint64_t ScheduleDigest(const TrainingState& state);

[[nodiscard]] nlohmann::json ToJson(const TrainingState& state);
// A round with the positions that it takes, for members that did not plan it.
[[nodiscard]] nlohmann::json ToJson(const RoundSettings& settings,
                                    const std::vector<PositionRange>& positions);
[[nodiscard]] Result<std::tuple<RoundSettings, std::vector<PositionRange>>> RoundFromJson(
    const nlohmann::json& json);
// kData naming what is missing or of the wrong type.
[[nodiscard]] Result<TrainingState> TrainingStateFromJson(const nlohmann::json& json);

}  // namespace longstride
