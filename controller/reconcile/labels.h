// The labels by which a job's pods are found, what else is written on them, and what they are
// named.
#pragma once

#include <cstdint>
#include <string>

#include "core/spec/places.h"

namespace longstride {

inline constexpr const char* kJobNameLabel = "longstride.dev/job-name";
inline constexpr const char* kGroupLabel = "longstride.dev/group";
inline constexpr const char* kIndexLabel = "longstride.dev/index";
inline constexpr const char* kIncarnationLabel = "longstride.dev/incarnation";

// PEM: whose certificates the pod's worker trusts. The kubelet shows it to the worker as a file,
// and each change of it, out of the pod that it holds anyway: a ConfigMap, which it would have to
// fetch, delays the pod (ADR 19).
inline constexpr const char* kCaBundleAnnotation = "longstride.dev/ca-bundle";

// The container that is the worker; the job's end follows from its state alone.
inline constexpr const char* kWorkerContainer = "worker";
inline constexpr const char* kControllerName = "longstride.dev/controller";

// "<job>-<group>-<index>-<incarnation>".
[[nodiscard]] inline std::string PodName(const std::string& job, const WorkerPlace& place,
                                         int64_t incarnation) {
  return job + "-" + place.Name() + "-" + std::to_string(incarnation);
}

// The label selector of a job's pods.
[[nodiscard]] inline std::string JobSelector(const std::string& job) {
  return std::string(kJobNameLabel) + "=" + job;
}

}  // namespace longstride
