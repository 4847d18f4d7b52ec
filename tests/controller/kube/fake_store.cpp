#include "tests/controller/kube/fake_store.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/base/format.h"

namespace longstride::kube {
namespace {

constexpr int kConflict = 409;
const char* const kTester = "test";  // the field manager of what a test puts here itself

}  // namespace

void FakeStore::SetAdmission(FakeApiServer::Admission admit) {
  const std::lock_guard lock(mutex_);
  admit_ = std::move(admit);
}

void FakeStore::OnChange(std::function<void()> changed) {
  const std::lock_guard lock(mutex_);
  changed_ = std::move(changed);
}

FakeStore::Stored* FakeStore::Find(const ObjectPath& path) {
  Collection& collection = collections_[path.collection];
  const auto found = collection.find(path.key);
  return found == collection.end() ? nullptr : &found->second;
}

StoreReply FakeStore::Get(const ObjectPath& path) {
  const std::lock_guard lock(mutex_);
  const Stored* stored = Find(path);
  if (!stored) return NotFound(path);
  if (path.subresource == "scale") return {200, DumpText(ScaleOf(*stored->object))};
  return {200, stored->text};
}

StoreReply FakeStore::List(const ObjectPath& path, const Selector& selector,
                           const std::string& name, size_t limit, const std::string& after) {
  const std::lock_guard lock(mutex_);
  const Collection& collection = collections_[path.collection];
  // A continue token is the last key that was sent.
  const size_t slash = after.find('/');
  auto it = after.empty()
                ? collection.begin()
                : collection.upper_bound({after.substr(0, slash), after.substr(slash + 1)});
  std::string items;
  std::string next;
  size_t count = 0;
  ObjectKey last;
  for (; it != collection.end(); ++it) {
    if (!path.key.namespace_.empty() && it->first.namespace_ != path.key.namespace_) continue;
    if (!name.empty() && it->first.name != name) continue;
    if (!selector.Matches(*it->second.object)) continue;
    if (limit > 0 && count == limit) {
      next = last.namespace_ + "/" + last.name;
      break;
    }
    if (count++ > 0) items += ',';
    items += *it->second.text;
    last = it->first;
  }
  const auto& [api_version, kind] = kinds_[path.collection];
  Json metadata = {{"resourceVersion", std::to_string(version_)}};
  if (!next.empty()) metadata["continue"] = next;
  return {200, ShareText(Format(R"({"apiVersion":"%s","kind":"%sList","metadata":%s,"items":[)",
                                api_version.c_str(), kind.c_str(), metadata.dump().c_str()) +
                         items + "]}")};
}

StoreReply FakeStore::Create(const ObjectPath& path, Json object, const std::string& manager) {
  const std::lock_guard lock(mutex_);
  return CreateLocked(path, std::move(object), manager);
}

StoreReply FakeStore::CreateLocked(const ObjectPath& path, Json object,
                                   const std::string& manager) {
  ObjectPath own = path;
  own.key.name = KeyOf(object).name;
  if (own.key.name.empty()) {
    own.key.name = StringAt(object, "/metadata/generateName") + Format("%05lld", version_ + 1LL);
    object["metadata"]["name"] = own.key.name;
  }
  if (!own.key.namespace_.empty()) object["metadata"]["namespace"] = own.key.namespace_;
  if (Find(own)) {
    return Refuse(kConflict, "AlreadyExists",
                  path.plural + " \"" + own.key.name + "\" already exists");
  }
  if (admit_) {
    const FakeApiServer::Refusal refusal = admit_(path.plural, object);
    if (refusal.status >= 400) {
      return Refuse(refusal.status, refusal.reason, refusal.message, {{"causes", refusal.causes}});
    }
  }
  object.erase("status");
  if (path.plural == "pods") object["status"] = {{"phase", "Pending"}};
  Json& metadata = object["metadata"];
  metadata["uid"] = Format("00000000-0000-4000-8000-%012lld", static_cast<long long>(next_uid_++));
  metadata["creationTimestamp"] = NowText();
  if (object.contains("spec")) metadata["generation"] = 1;
  Stored stored;
  stored.owners.Changed(Json::object(), object, manager);
  Stored& placed = collections_[path.collection][own.key] = std::move(stored);
  Commit(path.collection, own.key, placed, std::move(object));
  return {201, placed.text};
}

StoreReply FakeStore::Replace(const ObjectPath& path, Stored& stored, Json wanted,
                              const std::string& manager) {
  const std::string version = ResourceVersionOf(wanted);
  if (!version.empty() && version != ResourceVersionOf(*stored.object)) {
    return Refuse(kConflict, "Conflict",
                  "the object has been modified; please apply your changes to the latest version");
  }
  const Json& live = *stored.object;
  KeepServerFields(live, wanted, path.subresource == "status");
  if (wanted == live) return {200, stored.text};  // nothing changes: no new version, no event
  if (SpecDiffers(live, wanted)) RaiseGeneration(wanted);
  stored.owners.Changed(live, wanted, manager);
  Commit(path.collection, path.key, stored, std::move(wanted));
  const Text text = stored.text;
  if (!ValueAt(*stored.object, "/metadata/deletionTimestamp").is_null() &&
      !HasFinalizers(*stored.object)) {
    Erase(path.collection, path.key);
  }
  return {200, text};
}

StoreReply FakeStore::Update(const ObjectPath& path, const Json& object,
                             const std::string& manager) {
  const std::lock_guard lock(mutex_);
  Stored* stored = Find(path);
  if (!stored) return NotFound(path);
  if (path.subresource == "scale") {
    Json wanted = *stored->object;
    wanted["metadata"]["resourceVersion"] = ResourceVersionOf(object);
    wanted["spec"]["replicas"] = ValueAt(object, "/spec/replicas");
    return Replace(path, *stored, std::move(wanted), manager);
  }
  const std::string uid = UidOf(object);
  if (!uid.empty() && uid != UidOf(*stored->object)) {
    return Refuse(kConflict, "Conflict", "the object's uid is another");
  }
  return Replace(path, *stored, object, manager);
}

StoreReply FakeStore::MergePatch(const ObjectPath& path, const Json& patch,
                                 const std::string& manager) {
  const std::lock_guard lock(mutex_);
  Stored* stored = Find(path);
  if (!stored) return NotFound(path);
  Json wanted = *stored->object;
  wanted["metadata"].erase("resourceVersion");  // unless the patch demands one
  wanted.merge_patch(patch);
  return Replace(path, *stored, std::move(wanted), manager);
}

StoreReply FakeStore::Apply(const ObjectPath& path, const Json& object, const std::string& manager,
                            bool force) {
  const std::lock_guard lock(mutex_);
  Stored* stored = Find(path);
  if (!stored) {
    Json created = object;
    created["metadata"]["name"] = path.key.name;
    StoreReply reply = CreateLocked(path, std::move(created), manager);
    if (reply.status != 201) return reply;
    // An applied object is owned as applied, not as the server completed it.
    Json live = *Find(path)->object;
    FieldOwners owners;
    (void)owners.Apply(live, object, manager, true);
    Find(path)->owners = std::move(owners);
    return reply;
  }
  Json wanted = *stored->object;
  FieldOwners owners = stored->owners;
  const std::vector<std::string> conflicts = owners.Apply(wanted, object, manager, force);
  if (!conflicts.empty()) {
    Json causes = Json::array();
    for (const std::string& leaf : conflicts) {
      causes.push_back({{"reason", "FieldManagerConflict"}, {"field", leaf}});
    }
    return Refuse(kConflict, "Conflict", "Apply failed with conflicts", {{"causes", causes}});
  }
  const StoreReply reply = Replace(path, *stored, std::move(wanted), manager);
  if (Stored* kept = Find(path); kept && reply.status == 200) kept->owners = std::move(owners);
  return reply;
}

StoreReply FakeStore::Delete(const ObjectPath& path, const DeleteRequest& request) {
  const std::lock_guard lock(mutex_);
  Stored* stored = Find(path);
  if (!stored) return NotFound(path);
  const Json& live = *stored->object;
  if ((!request.uid.empty() && request.uid != UidOf(live)) ||
      (!request.resource_version.empty() && request.resource_version != ResourceVersionOf(live))) {
    return Refuse(kConflict, "Conflict", "a precondition of the deletion does not hold");
  }
  const bool graceful =
      options_.graceful_pods && path.plural == "pods" && request.grace_seconds.value_or(30) > 0;
  if (graceful || HasFinalizers(live)) {
    if (ValueAt(live, "/metadata/deletionTimestamp").is_null()) {
      Json wanted = live;
      wanted["metadata"]["deletionTimestamp"] = NowText();
      wanted["metadata"]["deletionGracePeriodSeconds"] = request.grace_seconds.value_or(30);
      Commit(path.collection, path.key, *stored, std::move(wanted));
    }
    return {200, stored->text};
  }
  const Text text = stored->text;
  const std::string uid = UidOf(live);
  const bool orphan = request.propagation == "Orphan";
  if (request.propagation == "Foreground" || orphan) CollectGarbage(uid, orphan);
  Erase(path.collection, path.key);
  return {200, text};
}

Json FakeStore::Put(const ObjectPath& path, Json object) {
  const std::lock_guard lock(mutex_);
  if (!Find(path)) (void)CreateLocked(path, object, kTester);
  Stored* stored = Find(path);
  if (!stored) std::terminate();  // the admission that the test itself set refuses it
  const Json& live = *stored->object;
  const Json status = ValueAt(object, "/status");
  KeepServerFields(live, object, /*status_only=*/false);
  if (!status.is_null()) object["status"] = status;
  if (object == live) return live;
  if (SpecDiffers(live, object)) RaiseGeneration(object);
  stored->owners.Changed(live, object, kTester);
  Commit(path.collection, path.key, *stored, std::move(object));
  return *stored->object;
}

std::optional<Json> FakeStore::Peek(const ObjectPath& path) {
  const std::lock_guard lock(mutex_);
  const Stored* stored = Find(path);
  return stored ? std::optional<Json>(*stored->object) : std::nullopt;
}

std::vector<Json> FakeStore::PeekAll(const ObjectPath& path) {
  const std::lock_guard lock(mutex_);
  std::vector<Json> all;
  for (const auto& [key, stored] : collections_[path.collection]) all.push_back(*stored.object);
  return all;
}

void FakeStore::Commit(const std::string& collection, const ObjectKey& key, Stored& stored,
                       Json object) {
  object["metadata"]["resourceVersion"] = std::to_string(version_ + 1);
  kinds_[collection] = {StringAt(object, "/apiVersion"), StringAt(object, "/kind")};
  const auto owners_of = [](const Json& owned) {
    return ValueAt(owned, "/metadata/ownerReferences");
  };
  if (stored.object) {
    for (const Json& owner : owners_of(*stored.object)) {
      dependents_[StringAt(owner, "/uid")].erase({collection, key});
    }
  }
  for (const Json& owner : owners_of(object)) {
    dependents_[StringAt(owner, "/uid")].insert({collection, key});
  }
  Change change;
  change.collection = collection;
  change.before = stored.object;
  stored.object = std::make_shared<const Json>(std::move(object));
  stored.text = DumpText(*stored.object);
  change.after = stored.object;
  change.text = stored.text;
  Append(std::move(change));
}

void FakeStore::Erase(const std::string& collection, const ObjectKey& key) {
  const auto found = collections_[collection].find(key);
  if (found == collections_[collection].end()) return;
  Json last = *found->second.object;
  for (const Json& owner : ValueAt(last, "/metadata/ownerReferences")) {
    dependents_[StringAt(owner, "/uid")].erase({collection, key});
  }
  // A deletion has a version of its own, which its event carries.
  last["metadata"]["resourceVersion"] = std::to_string(version_ + 1);
  Change change;
  change.collection = collection;
  change.before = found->second.object;
  change.text = DumpText(last);
  change.after = std::make_shared<const Json>(std::move(last));
  change.deleted = true;
  collections_[collection].erase(found);
  const std::string uid = UidOf(*change.after);
  Append(std::move(change));
  CollectGarbage(uid, /*orphan=*/false);
}

void FakeStore::CollectGarbage(const std::string& uid, bool orphan) {
  const auto owned = dependents_.find(uid);
  if (owned == dependents_.end()) return;
  const std::set<std::pair<std::string, ObjectKey>> dependents = std::move(owned->second);
  dependents_.erase(owned);
  for (const auto& [collection, key] : dependents) {
    const auto found = collections_[collection].find(key);
    if (found == collections_[collection].end()) continue;
    Stored& stored = found->second;
    Json wanted = *stored.object;
    Json& owners = wanted["metadata"]["ownerReferences"];
    for (size_t i = owners.size(); i-- > 0;) {
      if (StringAt(owners[i], "/uid") == uid) owners.erase(i);
    }
    if (orphan || !owners.empty()) {
      if (owners.empty()) wanted["metadata"].erase("ownerReferences");
      Commit(collection, key, stored, std::move(wanted));
    } else if (HasFinalizers(*stored.object)) {
      wanted = *stored.object;
      wanted["metadata"]["deletionTimestamp"] = NowText();
      Commit(collection, key, stored, std::move(wanted));
    } else {
      Erase(collection, key);
    }
  }
}

}  // namespace longstride::kube
