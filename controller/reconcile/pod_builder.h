// The pod of one worker: the user's template, kept as it is, with what a worker needs merged into
// the container named `worker` (added if the template has none). Of equal things the user's stand,
// but for what the operator must know: names, labels, owner, restartPolicy, and LONGSTRIDE_*
// variables.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "controller/reconcile/observed.h"
#include "core/spec/places.h"

namespace longstride {

inline constexpr int kMetricsPort = 9464;
inline constexpr const char* kTokenAudience = "longstride";
// Where the worker finds its token and the coordinator's CA bundle.
inline constexpr const char* kIdentityMount = "/var/run/longstride";
// Where checkpoints go: the claim, or a volume that ends with the pod.
inline constexpr const char* kStateMount = "/var/lib/longstride";

// `o.spec` is present and has the place's group.
[[nodiscard]] nlohmann::json BuildPod(const Observed& o, const WorkerPlace& place,
                                      int64_t incarnation);

// An ownerReference of an object that belongs to the job.
[[nodiscard]] nlohmann::json OwnerReference(const Observed& o);
// Recommended labels, the job's name, and `component`.
[[nodiscard]] nlohmann::json JobLabels(const Observed& o, const std::string& component);

}  // namespace longstride
