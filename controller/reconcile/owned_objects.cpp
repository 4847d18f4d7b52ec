#include "controller/reconcile/owned_objects.h"

#include "controller/reconcile/labels.h"
#include "controller/reconcile/pod_builder.h"
#include "core/spec/to_json.h"

namespace longstride {
namespace {

using nlohmann::json;

json MetadataOf(const Observed& o, const std::string& name, const std::string& component) {
  return {{"name", name},
          {"namespace", o.metadata.namespace_},
          {"labels", JobLabels(o, component)},
          {"ownerReferences", json::array({OwnerReference(o)})}};
}

json ConfigMap(const Observed& o) {
  TrainingJob job;
  job.metadata.name = o.metadata.name;
  job.metadata.namespace_ = o.metadata.namespace_;
  job.spec = *o.spec;
  // What the ConfigMap is for is the training; templates may be large.
  for (WorkerGroup& group : job.spec.workers) group.pod_template = json::object();
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", MetadataOf(o, ConfigMapName(o.metadata.name), "coordinator")},
          {"data", {{"ca.crt", o.defaults.ca_bundle}, {"job.json", ToJson(job).dump(2)}}}};
}

json NetworkPolicy(const Observed& o) {
  const json workers = {{"matchLabels", {{kJobNameLabel, o.metadata.name}}}};
  json metrics = {{"ports", json::array({json{{"port", kMetricsPort}, {"protocol", "TCP"}}})}};
  if (!o.defaults.metrics_from.empty()) metrics["from"] = o.defaults.metrics_from;
  return {{"apiVersion", "networking.k8s.io/v1"},
          {"kind", "NetworkPolicy"},
          {"metadata", MetadataOf(o, ConfigMapName(o.metadata.name), "network")},
          {"spec",
           {{"podSelector", workers},
            {"policyTypes", {"Ingress"}},
            {"ingress", json::array({json{{"from", json::array({json{{"podSelector", workers}}})}},
                                     std::move(metrics)})}}}};
}

}  // namespace

std::string ConfigMapName(const std::string& job) {
  return job + "-longstride";
}

std::vector<json> OwnedObjects(const Observed& o) {
  return {ConfigMap(o), NetworkPolicy(o)};
}

}  // namespace longstride
