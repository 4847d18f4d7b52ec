// The table at the end of a run, and the same numbers as JSON. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/run_totals.h"
#include "core/spec/training_job.h"

namespace longstride {

// What the rounds do not say. Kept in the run directory as run.json.
struct RunFacts {
  int64_t parameters = 0;     // of the model
  int64_t train_samples = 0;  // in the training set; with local data, in all shards
};

// `elapsed_seconds`: of this command, start-up included; 0 leaves it out.
[[nodiscard]] std::string RenderClosingTable(const RunTotals& totals, const RunFacts& facts,
                                             const CostSpec& prices, double elapsed_seconds);

// Keys: rounds, samples, discardedSamples, epochs, workers, seconds, evaluationSeconds,
// communicationShare, sentBytesPerWorker, dataParallelBytesPerWorker, savedFactor, loss,
// evaluationLoss, evaluationAccuracy, targetReached, globalBatch, localSteps, noiseVariance, skew,
// skewLimit, lastCheckpoint, cost (currency, workerHours, gigabytesSent, total). What is unknown is
// null; so is the cost without a price. `last_checkpoint`: round of the newest complete one; 0 =
// none.
[[nodiscard]] nlohmann::ordered_json ClosingJson(const RunTotals& totals, const RunFacts& facts,
                                                 const CostSpec& prices, int64_t last_checkpoint);

}  // namespace longstride
