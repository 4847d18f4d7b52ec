#include "tests/controller/kube/fake_objects.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/base/timestamps.h"

namespace longstride::kube {

Text ShareText(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

Text DumpText(const Json& json) {
  return ShareText(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::string NowText() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return FormatTime(std::chrono::duration<double>(since).count());
}

StoreReply NotFound(const ObjectPath& path) {
  return Refuse(404, "NotFound", path.plural + " \"" + path.key.name + "\" not found",
                {{"name", path.key.name}, {"kind", path.plural}});
}

// What no client may change, or only through the status subresource.
void KeepServerFields(const Json& live, Json& wanted, bool status_only) {
  if (status_only) {
    Json changed = live;
    changed["status"] = wanted.contains("status") ? wanted["status"] : Json();
    wanted = std::move(changed);
  } else if (live.contains("status")) {
    wanted["status"] = live["status"];
  } else {
    wanted.erase("status");
  }
  if (wanted.contains("status") && wanted["status"].is_null()) wanted.erase("status");
  for (const char* field : {"uid", "resourceVersion", "creationTimestamp", "generation",
                            "deletionTimestamp", "deletionGracePeriodSeconds"}) {
    wanted["metadata"].erase(field);
    const Json& kept = ValueAt(live, std::string("/metadata/") + field);
    if (!kept.is_null()) wanted["metadata"][field] = kept;
  }
}

bool SpecDiffers(const Json& a, const Json& b) {
  Json left = a;
  Json right = b;
  for (const char* field : {"metadata", "status"}) {
    left.erase(field);
    right.erase(field);
  }
  return left != right;
}

void RaiseGeneration(Json& object) {
  const Json& generation = ValueAt(object, "/metadata/generation");
  if (generation.is_number_integer()) {
    object["metadata"]["generation"] = generation.get<int64_t>() + 1;
  }
}

Json ScaleOf(const Json& object) {
  return {{"apiVersion", "autoscaling/v1"},
          {"kind", "Scale"},
          {"metadata",
           {{"name", KeyOf(object).name},
            {"namespace", KeyOf(object).namespace_},
            {"uid", UidOf(object)},
            {"resourceVersion", ResourceVersionOf(object)}}},
          {"spec", {{"replicas", ValueAt(object, "/spec/replicas")}}},
          {"status", {{"replicas", ValueAt(object, "/status/replicas")}}}};
}

bool HasFinalizers(const Json& object) {
  return !ValueAt(object, "/metadata/finalizers").empty();
}

StoreReply Refuse(int status, const std::string& reason, const std::string& message, Json details) {
  return {status, DumpText({{"kind", "Status"},
                            {"apiVersion", "v1"},
                            {"metadata", Json::object()},
                            {"status", "Failure"},
                            {"message", message},
                            {"reason", reason},
                            {"details", std::move(details)},
                            {"code", status}})};
}

std::optional<ObjectPath> ParsePath(const std::string& path) {
  std::vector<std::string> parts;
  for (size_t begin = 1; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    parts.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  const size_t head = !parts.empty() && parts[0] == "apis" ? 3 : 2;  // apis/group/version
  if (parts.size() <= head || (parts[0] != "apis" && parts[0] != "api")) return std::nullopt;
  ObjectPath parsed;
  for (size_t i = 0; i < head; ++i) parsed.collection += "/" + parts[i];
  size_t next = head;
  if (parts[next] == "namespaces" && parts.size() > next + 2) {
    parsed.key.namespace_ = parts[next + 1];
    next += 2;
  }
  parsed.plural = parts[next];
  parsed.collection += "/" + parsed.plural;
  if (parts.size() > next + 1) parsed.key.name = parts[next + 1];
  if (parts.size() > next + 2) parsed.subresource = parts[next + 2];
  return parsed;
}

ObjectPath PathOf(const Resource& resource, const ObjectKey& key) {
  return {resource.CollectionPath(""), resource.plural, key, ""};
}

}  // namespace longstride::kube
