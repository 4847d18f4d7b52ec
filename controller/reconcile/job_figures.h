// What is counted in a job for its metrics: no decision rests on it, and of it the status keeps the
// totals alone.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "controller/reconcile/job_status.h"
#include "core/spec/places.h"

namespace longstride {

// What the workers of one place did while this controller hosts the job; of one that came back to
// it after another, also what its process did before.
struct WorkerFigures {
  int64_t samples = 0;  // that count
  int64_t sent_bytes = 0;
};

struct JobFigures {
  int64_t generation = 0;  // counter of the last one formed; 0 = none
  // Of the last round.
  std::optional<double> learning_rate;
  std::optional<double> noise_scale;  // of the last round that measured it, as the next
  std::optional<double> norm_test_ratio;
  std::optional<double> evaluation_loss;  // the last one made
  JobTotals totals;
  std::map<WorkerPlace, WorkerFigures> workers;
};

}  // namespace longstride
