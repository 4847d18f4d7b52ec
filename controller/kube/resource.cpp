#include "controller/kube/resource.h"

#include "core/base/format.h"

namespace longstride::kube {

std::string ObjectKey::Text() const {
  return namespace_.empty() ? name : namespace_ + "/" + name;
}

std::string Resource::ApiVersion() const {
  return group.empty() ? version : group + "/" + version;
}

std::string Resource::CollectionPath(std::string_view namespace_) const {
  std::string path = (group.empty() ? "/api/" : "/apis/") + ApiVersion();
  if (namespaced && !namespace_.empty()) path += "/namespaces/" + UrlEncode(namespace_);
  return path + "/" + plural;
}

std::string Resource::ObjectPath(const ObjectKey& key, std::string_view subresource) const {
  std::string path = CollectionPath(key.namespace_) + "/" + UrlEncode(key.name);
  if (!subresource.empty()) path += "/" + std::string(subresource);
  return path;
}

std::string Resource::Text() const {
  return group.empty() ? plural : plural + "." + group;
}

#define LONGSTRIDE_RESOURCE(function, ...)        \
  const Resource& function() {                    \
    static const Resource resource = __VA_ARGS__; \
    return resource;                              \
  }
LONGSTRIDE_RESOURCE(TrainingJobs, {"longstride.dev", "v1alpha1", "trainingjobs", "TrainingJob"})
LONGSTRIDE_RESOURCE(Pods, {"", "v1", "pods", "Pod"})
LONGSTRIDE_RESOURCE(Services, {"", "v1", "services", "Service"})
LONGSTRIDE_RESOURCE(Secrets, {"", "v1", "secrets", "Secret"})
LONGSTRIDE_RESOURCE(Namespaces, {"", "v1", "namespaces", "Namespace", false})
LONGSTRIDE_RESOURCE(Events, {"", "v1", "events", "Event"})
LONGSTRIDE_RESOURCE(Leases, {"coordination.k8s.io", "v1", "leases", "Lease"})
LONGSTRIDE_RESOURCE(EndpointSlices, {"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"})
LONGSTRIDE_RESOURCE(NetworkPolicies,
                    {"networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"})
LONGSTRIDE_RESOURCE(TokenReviews,
                    {"authentication.k8s.io", "v1", "tokenreviews", "TokenReview", false})
LONGSTRIDE_RESOURCE(SelfSubjectAccessReviews,
                    {"authorization.k8s.io", "v1", "selfsubjectaccessreviews",
                     "SelfSubjectAccessReview", false})
#undef LONGSTRIDE_RESOURCE

const Json& ValueAt(const Json& object, std::string_view path) {
  static const Json null;
  const Json* value = &object;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(name.size());
    if (!value->is_object()) return null;
    const auto found = value->find(std::string(name));
    if (found == value->end()) return null;
    value = &*found;
  }
  return *value;
}

std::string StringAt(const Json& object, std::string_view path) {
  const Json& value = ValueAt(object, path);
  return value.is_string() ? value.get<std::string>() : std::string();
}

ObjectKey KeyOf(const Json& object) {
  return {StringAt(object, "/metadata/namespace"), StringAt(object, "/metadata/name")};
}

std::string UidOf(const Json& object) {
  return StringAt(object, "/metadata/uid");
}

std::string ResourceVersionOf(const Json& object) {
  return StringAt(object, "/metadata/resourceVersion");
}

std::string ControllerUidOf(const Json& object) {
  const Json& owners = ValueAt(object, "/metadata/ownerReferences");
  if (!owners.is_array()) return "";
  for (const Json& owner : owners) {
    if (ValueAt(owner, "/controller") == Json(true)) return StringAt(owner, "/uid");
  }
  return "";
}

std::string UrlEncode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    encoded += plain ? std::string(1, c) : Format("%%%02X", static_cast<unsigned char>(c));
  }
  return encoded;
}

}  // namespace longstride::kube
