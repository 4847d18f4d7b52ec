// What concerns more than one field of a job: required fields, fields that the chosen kinds would
// ignore, names, and values that contradict one another. Checks keep silent about fields that
// already have a fault, so each mistake is reported once.
#pragma once

#include "core/spec/node.h"
#include "core/spec/training_job.h"

namespace longstride {

// `job` was read from `root`, a map; `started` as of ParseTrainingJob. Adds what is wrong to
// `faults`.
void ValidateJob(const Node& root, const TrainingJob& job, bool started, Faults& faults);

}  // namespace longstride
