// Names of kinds and objects, and the paths that the API server serves them under.
#pragma once

#include <compare>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace longstride::kube {

using Json = nlohmann::json;

// "" as the namespace: the object is not in one.
struct ObjectKey {
  std::string namespace_;
  std::string name;
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
  // "namespace/name", or "name".
  [[nodiscard]] std::string Text() const;
};

struct Resource {
  std::string group;  // "" for the core group
  std::string version;
  std::string plural;
  std::string kind;
  bool namespaced = true;
  friend bool operator==(const Resource&, const Resource&) = default;

  // "v1", "apps/v1".
  [[nodiscard]] std::string ApiVersion() const;
  // "/api/v1/namespaces/x/pods"; over all namespaces when `namespace_` is "".
  [[nodiscard]] std::string CollectionPath(std::string_view namespace_) const;
  // `subresource`: "status", "scale" or "".
  [[nodiscard]] std::string ObjectPath(const ObjectKey& key, std::string_view subresource) const;
  // "trainingjobs.longstride.dev", as messages name it.
  [[nodiscard]] std::string Text() const;
};

// The kinds that the operator deals with.
[[nodiscard]] const Resource& TrainingJobs();
[[nodiscard]] const Resource& Pods();
[[nodiscard]] const Resource& Services();
[[nodiscard]] const Resource& Secrets();
[[nodiscard]] const Resource& Namespaces();
[[nodiscard]] const Resource& Events();
[[nodiscard]] const Resource& Leases();
[[nodiscard]] const Resource& EndpointSlices();
[[nodiscard]] const Resource& NetworkPolicies();
[[nodiscard]] const Resource& TokenReviews();
[[nodiscard]] const Resource& SelfSubjectAccessReviews();

// Reads of an object that never fail: a member that is absent or of another type is "" (or null).
// `path` names members of objects only, without escapes: "/metadata/name".
[[nodiscard]] std::string StringAt(const Json& object, std::string_view path);
[[nodiscard]] const Json& ValueAt(const Json& object, std::string_view path);

[[nodiscard]] ObjectKey KeyOf(const Json& object);
[[nodiscard]] std::string UidOf(const Json& object);
[[nodiscard]] std::string ResourceVersionOf(const Json& object);
// The UID of the owner whose reference says `controller: true`, or "".
[[nodiscard]] std::string ControllerUidOf(const Json& object);

// Percent-encodes what may not stand in a path segment or a query value.
[[nodiscard]] std::string UrlEncode(std::string_view text);

}  // namespace longstride::kube
