#include "controller/app/objects.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "controller/kube/resource.h"
#include "controller/reconcile/labels.h"

namespace longstride {
namespace {

using nlohmann::json;

constexpr double kFirstRetry = 2;
constexpr double kLastRetry = 60;

void Keep(const json& from, json& to, const char* path) {
  const json& value = kube::ValueAt(from, path);
  if (!value.is_null()) to[json::json_pointer(path)] = value;
}

// A policy or a webhook says so in its own name. Its status says nothing: a policy without a
// `reason` answers 422, as if the template were not valid, and a webhook may name fields as well.
bool IsDenial(const std::string& message) {
  return message.find("denied request") != std::string::npos ||
         message.find("denied the request") != std::string::npos;
}

}  // namespace

json ProjectPod(const json& pod) {
  json kept = json::object();
  for (const char* path : {"/metadata/name", "/metadata/uid", "/metadata/creationTimestamp",
                           "/metadata/deletionTimestamp", "/metadata/ownerReferences",
                           "/spec/nodeName", "/status/phase", "/status/reason", "/status/message"})
    Keep(pod, kept, path);
  for (const char* label : {kJobNameLabel, kGroupLabel, kIndexLabel, kIncarnationLabel}) {
    const json& labels = kube::ValueAt(pod, "/metadata/labels");
    if (labels.is_object() && labels.contains(label))
      kept["metadata"]["labels"][label] = labels[label];
  }
  const json& annotations = kube::ValueAt(pod, "/metadata/annotations");
  if (annotations.is_object() && annotations.contains(kCaBundleAnnotation))
    kept["metadata"]["annotations"][kCaBundleAnnotation] = annotations[kCaBundleAnnotation];
  static const std::set<std::string> kConditions = {"Ready", "DisruptionTarget", "PodScheduled"};
  for (const json& condition : kube::ValueAt(pod, "/status/conditions")) {
    if (!kConditions.contains(kube::StringAt(condition, "/type"))) continue;
    json& brief = kept["status"]["conditions"].emplace_back(json::object());
    for (const char* path : {"/type", "/status", "/reason", "/message"})
      Keep(condition, brief, path);
  }
  for (const json& container : kube::ValueAt(pod, "/status/containerStatuses")) {
    json& brief = kept["status"]["containerStatuses"].emplace_back(json::object());
    Keep(container, brief, "/name");
    if (kube::StringAt(container, "/name") == kWorkerContainer) {
      Keep(container, brief, "/state");
    } else if (kube::ValueAt(container, "/state/terminated").is_object()) {
      brief["state"]["terminated"] = json::object();  // of sidecars only whether they run on
    }
  }
  for (const json& container : kube::ValueAt(pod, "/status/initContainerStatuses")) {
    const std::string name = kube::StringAt(container, "/name");
    json brief = json::object();
    for (const char* path : {"/state/waiting/reason", "/state/waiting/message"})
      Keep(container, brief, path);
    const json& code = kube::ValueAt(container, "/state/terminated/exitCode");
    const bool failed = code.is_number_integer() && code != 0;
    if (failed && !IsSidecar(pod, name)) {  // sidecars fail no pod
      for (const char* path :
           {"/state/terminated/exitCode", "/state/terminated/reason", "/state/terminated/message"})
        Keep(container, brief, path);
    }
    if (brief.empty()) continue;  // it runs, or has done its part
    brief["name"] = name;
    kept["status"]["initContainerStatuses"].push_back(std::move(brief));
  }
  return kept;
}

json ProjectJob(const json& job) {
  json kept = json::object();
  for (const char* path :
       {"/apiVersion", "/kind", "/metadata/name", "/metadata/namespace", "/metadata/uid",
        "/metadata/generation", "/metadata/resourceVersion", "/metadata/creationTimestamp",
        "/metadata/deletionTimestamp", "/spec", "/status"})
    Keep(job, kept, path);
  return kept;
}

bool IsNews(const json& before, const json& after) {
  const json none;
  for (const char* path :
       {"/metadata/uid", "/metadata/generation", "/metadata/deletionTimestamp", "/spec"}) {
    if (kube::ValueAt(before, path) != kube::ValueAt(after, path)) return true;
  }
  return false;
}

bool IsNewer(const std::string& a, const std::string& b) {
  // Of decimal numbers without leading zeros the longer is the larger.
  return a.size() != b.size() ? a.size() > b.size() : a > b;
}

CreateFailure FailureOf(const kube::ApiError& error, const std::string& pod,
                        const WorkerPlace& place, int attempts, double now) {
  CreateFailure failure;
  failure.http_status = error.status;
  failure.reason = kube::ApiReasonName(error.reason);
  failure.message = error.message;
  failure.quota = error.reason == kube::ApiReason::kQuotaExceeded;
  failure.pod = pod;
  failure.place = place;
  const bool denied = IsDenial(error.message);
  const auto cause = std::ranges::find_if(
      error.causes, [](const kube::FieldCause& each) { return !each.field.empty(); });
  const bool names_field = !denied && cause != error.causes.end();
  if (names_field) {
    failure.field = cause->field;
    if (!cause->message.empty()) failure.message = cause->message;
  }
  const bool malformed = error.reason == kube::ApiReason::kBadRequest &&
                         error.message.find("cannot be handled as a Pod") != std::string::npos;
  failure.template_fault = !denied && (malformed || (error.status == 422 && names_field));
  failure.forbidden = !failure.quota && (denied || error.status == 403 ||
                                         (error.status == 422 && !failure.template_fault));
  failure.retry_at = now + std::min(kLastRetry, kFirstRetry * std::exp2(std::min(attempts, 10)));
  return failure;
}

bool IsRefusedForGood(const kube::ApiError& error) {
  return error.reason == kube::ApiReason::kForbidden || error.reason == kube::ApiReason::kInvalid ||
         error.reason == kube::ApiReason::kBadRequest;
}

json LeaderSlice(const std::string& namespace_, const std::string& service,
                 const std::string& service_uid, const std::string& address, int port) {
  const bool v6 = address.find(':') != std::string::npos;
  json slice = {
      {"apiVersion", "discovery.k8s.io/v1"},
      {"kind", "EndpointSlice"},
      {"metadata",
       {{"name", service},
        {"namespace", namespace_},
        {"labels",
         {{"kubernetes.io/service-name", service},
          {"endpointslice.kubernetes.io/managed-by", "longstride-controller"}}}}},
      {"addressType", v6 ? "IPv6" : "IPv4"},
      {"endpoints", json::array({json{{"addresses", json::array({address})},
                                      {"conditions", {{"ready", true}}}}})},
      {"ports", json::array({json{{"name", "coordinator"}, {"port", port}, {"protocol", "TCP"}}})}};
  if (!service_uid.empty()) {
    const json owner = {
        {"apiVersion", "v1"}, {"kind", "Service"}, {"name", service}, {"uid", service_uid}};
    slice["metadata"]["ownerReferences"] = json::array({owner});
  }
  return slice;
}

}  // namespace longstride
