#include "controller/kube/cache.h"

#include <algorithm>

namespace longstride::kube {
namespace {

std::string LabelOf(const Json& object, const std::string& key) {
  const Json& labels = ValueAt(object, "/metadata/labels");
  if (!labels.is_object()) return "";
  const auto found = labels.find(key);  // keys contain slashes, so no path
  return found != labels.end() && found->is_string() ? found->get<std::string>() : "";
}

template <typename Index>
void EraseFrom(Index& index, const std::string& value, const ObjectKey& key) {
  const auto found = index.find(value);
  if (found == index.end()) return;
  found->second.erase(key);
  if (found->second.empty()) index.erase(found);
}

}  // namespace

Projection KeepOnly(std::vector<std::string> pointers) {
  return [pointers = std::move(pointers)](const Json& object) {
    Json kept = Json::object();
    for (const std::string& pointer : pointers) {
      const Json& value = ValueAt(object, pointer);
      if (!value.is_null()) kept[Json::json_pointer(pointer)] = value;
    }
    return kept;
  };
}

Cache::Cache(Projection projection, std::vector<std::string> label_keys)
    : projection_(std::move(projection)),
      label_keys_(std::move(label_keys)),
      by_label_(label_keys_.size()) {}

void Cache::AddHandlers(CacheHandlers handlers) {
  handlers_.push_back(std::move(handlers));
}

ObjectPtr Cache::Find(const ObjectKey& key) const {
  const std::shared_lock lock(mutex_);
  const auto found = objects_.find(key);
  return found == objects_.end() ? nullptr : found->second.object;
}

std::vector<ObjectPtr> Cache::All() const {
  const std::shared_lock lock(mutex_);
  std::vector<ObjectPtr> all;
  all.reserve(objects_.size());
  for (const auto& [key, entry] : objects_) all.push_back(entry.object);
  return all;
}

std::vector<ObjectPtr> Cache::InNamespace(const std::string& namespace_) const {
  const std::shared_lock lock(mutex_);
  std::vector<ObjectPtr> found;
  for (auto it = objects_.lower_bound({namespace_, ""});
       it != objects_.end() && it->first.namespace_ == namespace_; ++it) {
    found.push_back(it->second.object);
  }
  return found;
}

std::vector<ObjectPtr> Cache::Pick(const KeysByValue& index, const std::string& value) const {
  std::vector<ObjectPtr> picked;
  const auto keys = index.find(value);
  if (keys == index.end()) return picked;
  for (const ObjectKey& key : keys->second) picked.push_back(objects_.at(key).object);
  return picked;
}

std::vector<ObjectPtr> Cache::ByOwner(const std::string& uid) const {
  const std::shared_lock lock(mutex_);
  return Pick(by_owner_, uid);
}

std::vector<ObjectPtr> Cache::ByLabel(const std::string& label_key,
                                      const std::string& value) const {
  const auto index = std::find(label_keys_.begin(), label_keys_.end(), label_key);
  if (index == label_keys_.end()) return {};
  const std::shared_lock lock(mutex_);
  return Pick(by_label_[static_cast<size_t>(index - label_keys_.begin())], value);
}

size_t Cache::size() const {
  const std::shared_lock lock(mutex_);
  return objects_.size();
}

bool Cache::synced() const {
  const std::shared_lock lock(mutex_);
  return synced_;
}

bool Cache::WaitSynced(Duration deadline, std::stop_token stop) const {
  std::shared_lock lock(mutex_);
  return changed_.wait_for(lock, stop, deadline, [this] { return synced_; });
}

Cache::Entry Cache::Project(const Json& object) const {
  auto cached = std::make_shared<CachedObject>();
  cached->key = KeyOf(object);
  cached->uid = UidOf(object);
  cached->resource_version = ResourceVersionOf(object);
  cached->owner_uid = ControllerUidOf(object);
  cached->value = projection_(object);
  Entry entry;
  entry.object = std::move(cached);
  for (const std::string& key : label_keys_) entry.labels.push_back(LabelOf(object, key));
  return entry;
}

void Cache::Index(const ObjectKey& key, const Entry& entry) {
  if (!entry.object->owner_uid.empty()) by_owner_[entry.object->owner_uid].insert(key);
  for (size_t i = 0; i < entry.labels.size(); ++i) {
    if (!entry.labels[i].empty()) by_label_[i][entry.labels[i]].insert(key);
  }
}

void Cache::Unindex(const ObjectKey& key, const Entry& entry) {
  EraseFrom(by_owner_, entry.object->owner_uid, key);
  for (size_t i = 0; i < entry.labels.size(); ++i) EraseFrom(by_label_[i], entry.labels[i], key);
}

void Cache::Upsert(const Json& object) {
  Put(Project(object));
}

void Cache::Put(Entry entry) {
  const ObjectPtr after = entry.object;
  ObjectPtr before;
  {
    const std::unique_lock lock(mutex_);
    const auto found = objects_.find(after->key);
    if (found == objects_.end()) {
      Index(after->key, entry);
      objects_.emplace(after->key, std::move(entry));
    } else {
      before = found->second.object;
      if (before->uid == after->uid && before->resource_version == after->resource_version) return;
      Unindex(after->key, found->second);
      Index(after->key, entry);
      found->second = std::move(entry);
    }
  }
  // Another object of the same name: what was known of the first one ends with it.
  const bool replaced = before && before->uid != after->uid;
  for (const CacheHandlers& handlers : handlers_) {
    if (replaced && handlers.on_delete) handlers.on_delete(before);
    if ((replaced || !before) && handlers.on_add) handlers.on_add(after);
    if (!replaced && before && handlers.on_update) handlers.on_update(before, after);
  }
}

void Cache::Erase(const ObjectKey& key) {
  ObjectPtr last;
  {
    const std::unique_lock lock(mutex_);
    const auto found = objects_.find(key);
    if (found == objects_.end()) return;
    last = found->second.object;
    Unindex(key, found->second);
    objects_.erase(found);
  }
  for (const CacheHandlers& handlers : handlers_) {
    if (handlers.on_delete) handlers.on_delete(last);
  }
}

void Cache::Remove(const Json& object) {
  Erase(KeyOf(object));
}

void Cache::Replace(std::vector<Entry> entries) {
  std::set<ObjectKey> kept;
  for (const Entry& entry : entries) kept.insert(entry.object->key);
  for (const ObjectPtr& known : All()) {
    if (!kept.contains(known->key)) Erase(known->key);
  }
  for (Entry& entry : entries) Put(std::move(entry));
  {
    const std::unique_lock lock(mutex_);
    synced_ = true;
  }
  changed_.notify_all();
}

}  // namespace longstride::kube
