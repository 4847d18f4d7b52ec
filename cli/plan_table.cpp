#include "cli/plan_table.h"

#include <algorithm>

#include "cli/text_table.h"
#include "core/base/format.h"

namespace longstride {
namespace {

// t(b) = alpha ceil(b / c) + beta b
double StepSeconds(const WorkerProfile& profile, int64_t batch) {
  const int64_t cap = std::max<int64_t>(1, profile.micro_batch_cap);
  return profile.alpha * static_cast<double>((batch + cap - 1) / cap) +
         profile.beta * static_cast<double>(batch);
}

}  // namespace

std::string RenderPlanTable(const std::vector<JoinRequest>& joins,
                            const PlanPrediction& prediction) {
  TextTable workers;
  for (size_t column = 2; column < 9; ++column) workers.AlignRight(column);
  workers.Row({"worker", "device", "threads", "per micro-batch", "per sample", "micro-batch cap",
               "memory", "batch", "step"});
  for (size_t i = 0; i < joins.size() && i < prediction.batches.size(); ++i) {
    const JoinRequest& join = joins[i];
    const WorkerProfile& p = join.profile;
    workers.Row({join.worker.group + "-" + std::to_string(join.worker.index),
                 p.device_name.empty() ? p.device : p.device_name, std::to_string(p.threads),
                 FormatSeconds(p.alpha), FormatSeconds(p.beta), FormatCount(p.micro_batch_cap),
                 FormatBytes(static_cast<double>(p.memory_limit_bytes)),
                 FormatCount(prediction.batches[i]),
                 FormatSeconds(StepSeconds(p, prediction.batches[i]))});
  }
  TextTable round;
  round.Row({"global batch", FormatCount(prediction.global_batch)});
  round.Row({"local steps", FormatCount(prediction.local_steps)});
  round.Row({"step", FormatSeconds(prediction.step_seconds)});
  round.Row({"synchronization", prediction.sync_seconds > 0
                                    ? FormatSeconds(prediction.sync_seconds)
                                    : std::string("not measured before the first round")});
  round.Row({"round", FormatSeconds(prediction.round_seconds) +
                          (prediction.sync_seconds > 0 ? "" : ", without synchronization")});
  return workers.Render() + "\n" + round.Render();
}

nlohmann::ordered_json PlanJson(const std::vector<JoinRequest>& joins,
                                const PlanPrediction& prediction) {
  using Json = nlohmann::ordered_json;
  Json json;
  json["workers"] = Json::array();
  for (size_t i = 0; i < joins.size() && i < prediction.batches.size(); ++i) {
    const JoinRequest& join = joins[i];
    const WorkerProfile& p = join.profile;
    json["workers"].push_back({{"group", join.worker.group},
                               {"index", join.worker.index},
                               {"device", p.device},
                               {"deviceName", p.device_name},
                               {"threads", p.threads},
                               {"alpha", p.alpha},
                               {"beta", p.beta},
                               {"microBatchCap", p.micro_batch_cap},
                               {"memoryLimitBytes", p.memory_limit_bytes},
                               {"memoryPeakBytes", p.memory_peak_bytes},
                               {"batch", prediction.batches[i]},
                               {"stepSeconds", StepSeconds(p, prediction.batches[i])}});
  }
  json["globalBatch"] = prediction.global_batch;
  json["localSteps"] = prediction.local_steps;
  json["stepSeconds"] = prediction.step_seconds;
  json["syncSeconds"] = prediction.sync_seconds > 0 ? Json(prediction.sync_seconds) : Json();
  json["roundSeconds"] = prediction.round_seconds;
  json["parameters"] = joins.empty() ? 0 : joins.front().parameters;
  json["trainSamples"] = joins.empty() ? 0 : joins.front().train_samples;
  return json;
}

}  // namespace longstride
