// A TrainingJob as the JSON object that kubectl would take: all defaults filled in, except fields
// that do not apply (the sizes of models that were not chosen) and empty ones. ParseTrainingJobJson
// gives the same job back.
#pragma once

#include <nlohmann/json.hpp>

#include "core/spec/training_job.h"

namespace longstride {

[[nodiscard]] nlohmann::ordered_json ToOrderedJson(const TrainingJob& job);  // in the docs' order
[[nodiscard]] nlohmann::json ToJson(const TrainingJob& job);

}  // namespace longstride
