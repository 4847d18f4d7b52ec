// Who may reach the metrics of workers: peers of a NetworkPolicy, as the controller's flag has
// them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/base/result.h"

namespace longstride {

// A JSON list of networking.k8s.io/v1 NetworkPolicyPeer: each has a podSelector, a
// namespaceSelector or both, or an ipBlock alone. kUser, naming the peer, when it is not that; what
// selectors and blocks hold is left to the API server to check.
[[nodiscard]] Result<nlohmann::json> ParseNetworkPeers(const std::string& text);

}  // namespace longstride
