// Fills a TrainingJob from a Node tree by the field table: names, types, bounds and enumerations.
// What concerns several fields is validate.h's.
#pragma once

#include "core/spec/node.h"
#include "core/spec/training_job.h"

namespace longstride {

// Reads `root` into `job`, which holds the defaults; adds what is wrong to `faults`.
void ReadJob(const Node& root, TrainingJob& job, Faults& faults);

}  // namespace longstride
