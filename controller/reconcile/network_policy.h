// What a job owns besides pods; applied server-side, so the same again is no change.
#pragma once

#include <nlohmann/json.hpp>

#include "controller/reconcile/observed.h"

namespace longstride {

// "<job>-longstride": workers take connections from each other, and on their metrics port from
// `defaults.metrics_from`. It depends on no field of the spec.
[[nodiscard]] nlohmann::json NetworkPolicyOf(const Observed& o);

}  // namespace longstride
