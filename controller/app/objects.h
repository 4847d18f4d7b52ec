// Objects of the API as this controller keeps and writes them. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "controller/kube/api_error.h"
#include "controller/reconcile/observed.h"

namespace longstride {

// What the caches keep: of a pod no more than ViewOfPod reads.
[[nodiscard]] nlohmann::json ProjectPod(const nlohmann::json& pod);
[[nodiscard]] nlohmann::json ProjectJob(const nlohmann::json& job);

// False for changes that only this controller's own status writes bring about.
[[nodiscard]] bool IsNews(const nlohmann::json& before, const nlohmann::json& after);

// Which of two resourceVersions is newer; they count up.
[[nodiscard]] bool IsNewer(const std::string& a, const std::string& b);

// What is known of a refused creation. `attempts`: refused in a row so far, for the back-off.
[[nodiscard]] CreateFailure FailureOf(const kube::ApiError& error, const std::string& pod,
                                      const WorkerPlace& place, int attempts, double now);

// Trying the same again is of no use.
[[nodiscard]] bool IsRefusedForGood(const kube::ApiError& error);

// The EndpointSlice that leads the coordinators' Service to the leader at `address`. It goes with
// the Service, if that one's UID is given.
[[nodiscard]] nlohmann::json LeaderSlice(const std::string& namespace_, const std::string& service,
                                         const std::string& service_uid, const std::string& address,
                                         int port);

}  // namespace longstride
