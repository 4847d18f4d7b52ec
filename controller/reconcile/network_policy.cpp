#include "controller/reconcile/network_policy.h"

#include "controller/reconcile/labels.h"
#include "controller/reconcile/pod_builder.h"

namespace longstride {

using nlohmann::json;

json NetworkPolicyOf(const Observed& o) {
  const json workers = {{"matchLabels", {{kJobNameLabel, o.metadata.name}}}};
  json metrics = {{"ports", json::array({json{{"port", kMetricsPort}, {"protocol", "TCP"}}})}};
  if (!o.defaults.metrics_from.empty()) metrics["from"] = o.defaults.metrics_from;
  return {{"apiVersion", "networking.k8s.io/v1"},
          {"kind", "NetworkPolicy"},
          {"metadata",
           {{"name", o.metadata.name + "-longstride"},
            {"namespace", o.metadata.namespace_},
            {"labels", JobLabels(o, "network")},
            {"ownerReferences", json::array({OwnerReference(o)})}}},
          {"spec",
           {{"podSelector", workers},
            {"policyTypes", {"Ingress"}},
            {"ingress", json::array({json{{"from", json::array({json{{"podSelector", workers}}})}},
                                     std::move(metrics)})}}}};
}

}  // namespace longstride
