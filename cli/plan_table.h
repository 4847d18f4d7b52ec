// What `longstride plan` prints: each worker's profile and share, and the predicted round. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller/coordinator/planner.h"
#include "core/protocol/messages.h"

namespace longstride {

// `joins` sorted as the ranks of `prediction`.
[[nodiscard]] std::string RenderPlanTable(const std::vector<JoinRequest>& joins,
                                          const PlanPrediction& prediction);

// Keys: workers [{group, index, device, deviceName, threads, alpha, beta, microBatchCap,
// memoryLimitBytes, memoryPeakBytes, batch, stepSeconds}], globalBatch, localSteps, stepSeconds,
// syncSeconds (null before any synchronization was measured), roundSeconds, parameters,
// trainSamples.
[[nodiscard]] nlohmann::ordered_json PlanJson(const std::vector<JoinRequest>& joins,
                                              const PlanPrediction& prediction);

}  // namespace longstride
