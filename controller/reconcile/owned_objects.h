// What a job owns besides pods; applied server-side, so the same again is no change.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller/reconcile/observed.h"

namespace longstride {

// "<job>-longstride".
[[nodiscard]] std::string ConfigMapName(const std::string& job);

// The ConfigMap with the coordinator's CA bundle and the manifest with all defaults, and a
// NetworkPolicy: workers take connections from each other, and on their metrics port from
// `defaults.metrics_from`.
[[nodiscard]] std::vector<nlohmann::json> OwnedObjects(const Observed& o);

}  // namespace longstride
