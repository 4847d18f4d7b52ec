#include "controller/reconcile/pod_builder.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "controller/reconcile/labels.h"
#include "core/spec/parse.h"
#include "core/spec/quantity.h"

namespace longstride {
namespace {

using nlohmann::json;

constexpr const char* kIdentityVolume = "longstride-identity";
constexpr const char* kStateVolume = "longstride-state";
constexpr int kStateGroup = 65532;  // of the images' user
constexpr const char* kShmVolume = "longstride-shm";
constexpr const char* kMicroBatch = "LONGSTRIDE_MICRO_BATCH";
constexpr int64_t kShmBytes = int64_t{256} << 20;
constexpr const char* kGrace = "LONGSTRIDE_GRACE_SECONDS";
// For the end of a round after SIGTERM, and on top of that the last checkpoint's time.
constexpr int64_t kGraceSeconds = 60;
constexpr int64_t kStartupPeriod = 2;  // seconds between two looks whether a worker has started
constexpr int64_t kStartupDelay = 4;   // none has before: each failed look is an event
constexpr int64_t kLongestStart = 86400;

// Makes `object[key]` an object or array, whatever the template said there.
json& Object(json& object, const char* key) {
  json& member = object[key];
  if (!member.is_object()) member = json::object();
  return member;
}
json& List(json& object, const char* key) {
  json& member = object[key];
  if (!member.is_array()) member = json::array();
  return member;
}
void SetIfAbsent(json& object, const char* key, json value) {
  if (!object.contains(key) || object[key].is_null()) object[key] = std::move(value);
}
json* FindNamed(json& list, const std::string& name) {
  for (json& each : list) {
    if (each.is_object() && each.value("name", json()) == name) return &each;
  }
  return nullptr;
}
// Replaces the entry of that name, or adds it.
void Put(json& list, json entry) {
  if (json* same = FindNamed(list, entry["name"])) {
    *same = std::move(entry);
  } else {
    list.push_back(std::move(entry));
  }
}
bool Mounts(json& container, const std::string& path) {
  for (const json& mount : List(container, "volumeMounts")) {
    if (mount.is_object() && mount.value("mountPath", json()) == path) return true;
  }
  return false;
}
json Env(const std::string& name, const std::string& value) {
  return {{"name", name}, {"value", value}};
}
json EnvFromField(const std::string& name, const std::string& field) {
  return {{"name", name}, {"valueFrom", {{"fieldRef", {{"fieldPath", field}}}}}};
}

// The CPUs that the worker requests, rounded up; 0 where it requests none.
json CpuRequest(const std::string& name) {
  return {
      {"name", name},
      {"valueFrom",
       {{"resourceFieldRef",
         {{"containerName", kWorkerContainer}, {"resource", "requests.cpu"}, {"divisor", "1"}}}}}};
}

bool LimitsCpu(const json& container) {
  json limits = container;
  for (const char* key : {"resources", "limits"})
    limits = limits.is_object() ? limits.value(key, json()) : json();
  return limits.is_object() && !limits.value("cpu", json()).is_null();
}

// Half of the container's memory limit, at most kShmBytes: pages there count against that limit.
std::string ShmSize(const json& container) {
  int64_t bytes = kShmBytes;
  json limit = container;
  for (const char* key : {"resources", "limits", "memory"})
    limit = limit.is_object() ? limit.value(key, json()) : json();
  if (limit.is_string()) {
    if (const auto parsed = ParseQuantity(limit.get<std::string>()); parsed.ok() && *parsed > 1)
      bytes = std::min(bytes, *parsed / 2);
  }
  return FormatQuantity(bytes);
}

// What earlier workers of this place found out about its memory, unless the template asks for less.
std::optional<int64_t> MicroBatchOf(const Observed& o, const WorkerPlace& place, json& env) {
  if (!o.coordinator) return std::nullopt;
  const auto limit = o.coordinator->micro_batch_limits.find(place);
  if (limit == o.coordinator->micro_batch_limits.end()) return std::nullopt;
  const json* own = FindNamed(env, kMicroBatch);
  const json value = own != nullptr ? own->value("value", json()) : json();
  const int64_t asked = value.is_string() ? std::atoll(value.get<std::string>().c_str()) : 0;
  return asked > 0 ? std::min(asked, limit->second) : limit->second;
}

int64_t DefaultGrace(const Observed& o) {
  const double checkpoint = o.coordinator ? o.coordinator->checkpoint_seconds : 0;
  return kGraceSeconds + static_cast<int64_t>(std::ceil(checkpoint));
}

// A template that sets the variable itself knows of less time: a preStop hook takes some of the
// pod's, a spot machine gives less notice.
void AddGrace(const json& seconds, json& container) {
  json& env = List(container, "env");
  if (!seconds.is_number_integer() || FindNamed(env, kGrace) != nullptr) return;
  env.push_back(Env(kGrace, std::to_string(std::max<int64_t>(1, seconds.get<int64_t>()))));
}

void AddEnvironment(const Observed& o, const WorkerPlace& place, json& container) {
  json& env = List(container, "env");
  Put(env, Env("LONGSTRIDE_COORDINATOR", o.defaults.coordinator_url + "/v1/jobs/" +
                                             o.metadata.namespace_ + "/" + o.metadata.name));
  Put(env, Env("LONGSTRIDE_TOKEN_FILE", std::string(kIdentityMount) + "/token"));
  Put(env, Env("LONGSTRIDE_CA_FILE", std::string(kIdentityMount) + "/ca.crt"));
  Put(env, Env("LONGSTRIDE_GROUP", place.group));
  Put(env, Env("LONGSTRIDE_INDEX", std::to_string(place.index)));
  Put(env, EnvFromField("LONGSTRIDE_INCARNATION", "metadata.uid"));
  Put(env, EnvFromField("LONGSTRIDE_ADDRESS", "status.podIP"));
  // A checkpoint is made of every worker's files in one directory, which only storage gives.
  if (o.spec->checkpoint.storage) {
    const std::string out =
        std::string(kStateMount) + "/" + o.metadata.name + "-" + o.uid.substr(0, 8);
    Put(env, Env("LONGSTRIDE_OUT", out));
    // Also in a first pod: a checkpoint may be there that no controller has heard of.
    Put(env, Env("LONGSTRIDE_RESUME", out));
    Put(env, Env("LONGSTRIDE_RESUME_IF_ANY", "true"));
  }
  if (const auto micro_batch = MicroBatchOf(o, place, env))
    Put(env, Env(kMicroBatch, std::to_string(*micro_batch)));
  Put(env, Env("LONGSTRIDE_METRICS_PORT", std::to_string(kMetricsPort)));
  // A limit binds by itself. Without one a worker would take all of its node's CPUs, as would its
  // neighbours; threads that wait for CPUs cost many times what they bring.
  if (!LimitsCpu(container) && FindNamed(env, "LONGSTRIDE_THREADS") == nullptr)
    env.push_back(CpuRequest("LONGSTRIDE_THREADS"));
}

void AddVolumes(const Observed& o, json& spec, json& container) {
  json& volumes = List(spec, "volumes");
  json& mounts = List(container, "volumeMounts");
  const auto& storage = o.spec->checkpoint.storage;
  const std::string bundle = std::string("metadata.annotations['") + kCaBundleAnnotation + "']";
  Put(volumes,
      {{"name", kIdentityVolume},
       {"projected",
        {{"sources",
          {{{"serviceAccountToken",
             {{"audience", kTokenAudience}, {"expirationSeconds", 3600}, {"path", "token"}}}},
           {{"downwardAPI",
             {{"items", {{{"path", "ca.crt"}, {"fieldRef", {{"fieldPath", bundle}}}}}}}}}}}}}});
  Put(mounts, {{"name", kIdentityVolume}, {"mountPath", kIdentityMount}, {"readOnly", true}});
  if (storage) {
    Put(volumes,
        {{"name", kStateVolume}, {"persistentVolumeClaim", {{"claimName", storage->claim_name}}}});
    json state = {{"name", kStateVolume}, {"mountPath", kStateMount}};
    if (!storage->sub_path.empty()) state["subPath"] = storage->sub_path;
    Put(mounts, std::move(state));
  }
  if (!Mounts(container, "/dev/shm")) {
    Put(volumes, {{"name", kShmVolume},
                  {"emptyDir", {{"medium", "Memory"}, {"sizeLimit", ShmSize(container)}}}});
    Put(mounts, {{"name", kShmVolume}, {"mountPath", "/dev/shm"}});
  }
}

void AddProbes(const Observed& o, json& container) {
  json& ports = List(container, "ports");
  Put(ports, {{"name", "metrics"}, {"containerPort", kMetricsPort}, {"protocol", "TCP"}});
  const json look = {{"path", "/metrics"}, {"port", kMetricsPort}};
  // The worker serves its metrics once it has measured itself and joined.
  const int64_t timeout = o.spec->run_policy.start_timeout_seconds;
  const int64_t start = timeout > 0 ? timeout : kLongestStart;
  SetIfAbsent(container, "startupProbe",
              {{"httpGet", look},
               {"initialDelaySeconds", kStartupDelay},
               {"periodSeconds", kStartupPeriod},
               {"timeoutSeconds", 2},
               {"failureThreshold", std::max<int64_t>(1, start / kStartupPeriod)}});
  SetIfAbsent(container, "readinessProbe",
              {{"httpGet", look}, {"periodSeconds", 10}, {"timeoutSeconds", 5}});
  // A worker that cannot answer for a minute is stuck; its coordinator mostly notices before.
  SetIfAbsent(
      container, "livenessProbe",
      {{"httpGet", look}, {"periodSeconds", 10}, {"timeoutSeconds", 5}, {"failureThreshold", 6}});
}

// The restricted Pod Security Standard, in what the user has not decided; and that a claim can be
// written to, whoever made its volume and whichever user the image has.
void AddSecurity(const Observed& o, json& spec, json& container) {
  json& pod = Object(spec, "securityContext");
  if (o.spec->checkpoint.storage && pod.value("fsGroup", json()).is_null()) {
    pod["fsGroup"] = kStateGroup;
    // Not every file of every run that is on it, each time that a pod starts.
    SetIfAbsent(pod, "fsGroupChangePolicy", "OnRootMismatch");
  }
  SetIfAbsent(pod, "runAsNonRoot", true);
  SetIfAbsent(pod, "seccompProfile", {{"type", "RuntimeDefault"}});
  json& own = Object(container, "securityContext");
  // The API server refuses the combination.
  const bool privileged = own.value("privileged", json()) == true;
  if (!privileged) SetIfAbsent(own, "allowPrivilegeEscalation", false);
  if (!privileged) SetIfAbsent(own, "capabilities", {{"drop", {"ALL"}}});
}

}  // namespace

json OwnerReference(const Observed& o) {
  return {{"apiVersion", kApiVersion}, {"kind", kKind},
          {"name", o.metadata.name},   {"uid", o.uid},
          {"controller", true},        {"blockOwnerDeletion", true}};
}

json JobLabels(const Observed& o, const std::string& component) {
  return {{"app.kubernetes.io/name", "longstride"},
          {"app.kubernetes.io/instance", o.metadata.name},
          {"app.kubernetes.io/component", component},
          {"app.kubernetes.io/part-of", "longstride"},
          {"app.kubernetes.io/version", o.defaults.version},
          {"app.kubernetes.io/managed-by", "longstride-controller"},
          {kJobNameLabel, o.metadata.name}};
}

json BuildPod(const Observed& o, const WorkerPlace& place, int64_t incarnation) {
  const auto group = std::ranges::find(o.spec->workers, place.group, &WorkerGroup::name);
  json pod = group->pod_template.is_object() ? group->pod_template : json::object();
  pod["apiVersion"] = "v1";
  pod["kind"] = "Pod";
  json& metadata = Object(pod, "metadata");
  // The template's own name and namespace mean nothing.
  metadata.erase("generateName");
  metadata["name"] = PodName(o.metadata.name, place, incarnation);
  metadata["namespace"] = o.metadata.namespace_;
  metadata["ownerReferences"] = json::array({OwnerReference(o)});
  json& labels = Object(metadata, "labels");
  labels.update(JobLabels(o, "worker"));
  labels[kGroupLabel] = place.group;
  labels[kIndexLabel] = std::to_string(place.index);
  labels[kIncarnationLabel] = std::to_string(incarnation);
  Object(metadata, "annotations")[kCaBundleAnnotation] = o.defaults.ca_bundle;

  json& spec = Object(pod, "spec");
  spec["restartPolicy"] = "Never";
  SetIfAbsent(spec, "automountServiceAccountToken", false);
  SetIfAbsent(spec, "enableServiceLinks", false);
  SetIfAbsent(spec, "terminationGracePeriodSeconds", DefaultGrace(o));
  json& containers = List(spec, "containers");
  if (FindNamed(containers, kWorkerContainer) == nullptr)
    containers.push_back({{"name", kWorkerContainer}});
  json& container = *FindNamed(containers, kWorkerContainer);
  SetIfAbsent(container, "image", o.defaults.image);
  if (!container.contains("command") && !container.contains("args"))
    container["command"] = {"longstride-worker"};
  SetIfAbsent(container, "terminationMessagePolicy", "FallbackToLogsOnError");
  AddEnvironment(o, place, container);
  AddGrace(spec["terminationGracePeriodSeconds"], container);
  AddVolumes(o, spec, container);
  AddProbes(o, container);
  AddSecurity(o, spec, container);
  return pod;
}

}  // namespace longstride
