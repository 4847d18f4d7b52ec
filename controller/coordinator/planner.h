// Decides the plan: what each worker's step costs and what a synchronization costs, from the
// profiles that workers join with and the times that rounds report. Workers derive split and H from
// it in lockstep.
//
// Pure and deterministic; not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "core/protocol/round_record.h"
#include "core/spec/training_job.h"

namespace longstride {

// What a plan is expected to mean for a round.
struct PlanPrediction {
  int64_t global_batch = 0;
  std::vector<int64_t> batches;  // b_m by rank
  int64_t local_steps = 0;       // H
  double step_seconds = 0;       // of the slowest worker
  double sync_seconds = 0;       // 0 = not known yet
  double round_seconds = 0;      // H * step + sync
};

// What a plan means for a round of global batch `global_batch` that begins at position `cursor`.
// Errors: kUser naming the bound that makes the batch impossible to split.
[[nodiscard]] Result<PlanPrediction> Predict(const TrainingJobSpec& spec, const Plan& plan,
                                             int64_t global_batch, int64_t cursor);

// The plans of a run as they took effect: each version that `records` names, with the first round
// that really used it. A late plan may have been used later than it says; a replay must do the
// same.
[[nodiscard]] std::vector<Plan> PlanHistory(const std::vector<Plan>& issued,
                                            const std::vector<RoundRecord>& records);

class Planner {
 public:
  // `recorded`: plans of the history to replay, handed out as they are; `recorded_rounds`: its last
  // round, until which nothing new is planned.
  Planner(TrainingJobSpec spec, std::vector<Plan> recorded, int64_t recorded_rounds);

  // A generation begins: its members in rank order, the first round that it will run. Makes a plan,
  // unless it is the first generation and the recorded history has plans for this number of
  // members. Who was a member before keeps what was learned of it; members of one group on the same
  // hardware otherwise begin with the median of theirs. kUser when all replicas begin and no split
  // of the first batch exists.
  Status Begin(std::vector<JoinRequest> members, int64_t first_round);

  // A generation that another planner began goes on: its members in rank order and plans of theirs.
  // May be called again, as more is heard of them; before the first Observe.
  void Adopt(const std::vector<JoinRequest>& members, const std::vector<Plan>& plans);

  // A round was committed. Returns a new plan if one pays: over 5 % less predicted time for a
  // round, or (policy auto) an H that differs by over 10 %; at most one in three rounds. A
  // micro-batch cap that a member had to lower is reason enough. It takes effect two rounds later,
  // so that every member can have it.
  [[nodiscard]] std::optional<Plan> Observe(const RoundRecord& record);

  // What `worker`'s steps cost is measured anew, from here on with all that its local steps wait
  // for.
  void Reprofile(const WorkerId& worker);

  // Those that may still govern a round of the present generation.
  [[nodiscard]] const std::vector<Plan>& plans() const { return plans_; }

 private:
  struct WorkerHistory {
    WorkerId id;
    WorkerProfile profile;
    std::deque<std::pair<int64_t, double>> recent = {};  // (batch, seconds), newest last
    bool reprofiled = false;      // seconds are those of the whole local step, data included
    int64_t micro_batch_cap = 0;  // that `recent` was measured under
  };
  // Puts what was learned of present members in place of the profiles they joined with.
  // Which these are.
  std::vector<bool> Learned(std::vector<JoinRequest>& members) const;
  [[nodiscard]] PlanShare Refit(const WorkerHistory& worker, const PlanShare& present) const;
  [[nodiscard]] bool Pays(const Plan& candidate, const RoundRecord& record) const;

  const TrainingJobSpec spec_;
  const int64_t recorded_rounds_;
  std::vector<Plan> plans_;
  std::vector<WorkerHistory> workers_;  // by rank
  std::deque<double> sync_seconds_;     // of recent rounds
  int64_t last_issue_round_ = 0;
};

}  // namespace longstride
