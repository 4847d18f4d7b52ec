#include "controller/reconcile/network_peers.h"

#include "core/base/format.h"

namespace longstride {
namespace {

using nlohmann::json;

constexpr const char* kIpBlock = "ipBlock";

// What is wrong with a peer; empty when nothing is.
std::string FaultOf(const json& peer) {
  if (!peer.is_object() || peer.empty())
    return "must be an object with a podSelector, a namespaceSelector or an ipBlock";
  for (const auto& [key, value] : peer.items()) {
    if (key != "podSelector" && key != "namespaceSelector" && key != kIpBlock)
      return "has an unknown field " + key;
    if (!value.is_object()) return key + " must be an object";
  }
  if (peer.contains(kIpBlock) && peer.size() > 1) return "has an ipBlock beside a selector";
  return "";
}

}  // namespace

Result<json> ParseNetworkPeers(const std::string& text) {
  json peers = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!peers.is_array()) return UserError("must be a JSON list of NetworkPolicy peers");
  for (size_t i = 0; i < peers.size(); ++i) {
    if (const std::string fault = FaultOf(peers[i]); !fault.empty())
      return UserError(Format("peer %zu: %s", i + 1, fault.c_str()));
  }
  return peers;
}

}  // namespace longstride
