// What is counted in a job for its metrics alone: no decision rests on it and no status keeps it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "core/protocol/messages.h"
#include "core/spec/places.h"

namespace longstride {

struct WorkerFigures {
  int64_t samples = 0;  // that count
  int64_t sent_bytes = 0;
};

// Totals are of the rounds that were committed since this controller hosts the job.
struct JobFigures {
  int64_t generation = 0;  // counter of the last one formed; 0 = none
  // Of the last round.
  std::optional<double> learning_rate;
  std::optional<double> noise_scale;  // of the last round that measured it, as the next
  std::optional<double> norm_test_ratio;
  std::optional<double> evaluation_loss;  // the last one made
  std::vector<int64_t> sent_bytes;        // by purpose (kPurposeNames)
  double data_parallel_bytes = 0;         // that data-parallel SGD would have sent
  ActivitySeconds seconds;                // of all workers
  std::map<WorkerPlace, WorkerFigures> workers;
};

}  // namespace longstride
