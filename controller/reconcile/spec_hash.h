// Tells whether a job's spec changed in what must not change while it runs.
#pragma once

#include <string>

#include "core/spec/training_job.h"

namespace longstride {

// 16 hex digits over all but replicas and runPolicy, which may change at any time.
[[nodiscard]] std::string SpecHash(const TrainingJobSpec& spec);

}  // namespace longstride
