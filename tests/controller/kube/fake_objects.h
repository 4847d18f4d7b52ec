// What the fake API server knows of paths, objects and refusals. Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "controller/kube/resource.h"

namespace longstride::kube {

// An object as text, made once and shared by answers and watches.
using Text = std::shared_ptr<const std::string>;
[[nodiscard]] Text ShareText(std::string text);
[[nodiscard]] Text DumpText(const Json& json);

struct StoreReply {
  int status = 200;
  Text body;
};

// What a path names: "/apis/g/v/namespaces/n/things/x/status".
struct ObjectPath {
  std::string collection;  // "/apis/g/v/things"
  std::string plural;
  ObjectKey key;
  std::string subresource;
};
[[nodiscard]] std::optional<ObjectPath> ParsePath(const std::string& path);
[[nodiscard]] ObjectPath PathOf(const Resource& resource, const ObjectKey& key);

// A Status object.
[[nodiscard]] StoreReply Refuse(int status, const std::string& reason, const std::string& message,
                                Json details = Json::object());
[[nodiscard]] StoreReply NotFound(const ObjectPath& path);

// Takes back from `wanted` what no client may change, and everything but the status if
// `status_only`, else the status.
void KeepServerFields(const Json& live, Json& wanted, bool status_only);
// Apart from metadata and status.
[[nodiscard]] bool SpecDiffers(const Json& a, const Json& b);
// Of an object that has a generation.
void RaiseGeneration(Json& object);
[[nodiscard]] Json ScaleOf(const Json& object);
[[nodiscard]] bool HasFinalizers(const Json& object);
// Now, as objects hold it.
[[nodiscard]] std::string NowText();

}  // namespace longstride::kube
