// The schema of a TrainingJob's status: what the controller writes and `kubectl get` prints.
// The API server drops what is not in it, so the controller's tests hold its status against this.
#pragma once

#include <nlohmann/json.hpp>

namespace longstride {

[[nodiscard]] nlohmann::ordered_json StatusSchema();

}  // namespace longstride
