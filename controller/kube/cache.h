// Objects of one kind as a reflector last saw them, indexed for lookups without the API server.
// Holds only a projection of each object, so that thousands fit in little memory.
//
// Thread-safe. One reflector writes; any thread reads. Handlers run on the writer's thread, after
// the change is visible, one at a time and in order; they must be quick and may read the cache.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "controller/kube/resource.h"
#include "core/base/clock.h"

namespace longstride::kube {

struct CachedObject {
  ObjectKey key;
  std::string uid;
  std::string resource_version;
  std::string owner_uid;  // of the controlling owner, or ""
  Json value;             // the projection
};
using ObjectPtr = std::shared_ptr<const CachedObject>;

// What to keep of an object. Identity (namespace, name, uid, resourceVersion, owner) is kept apart
// from it.
using Projection = std::function<Json(const Json& object)>;

// A projection that keeps the members at these paths ("/metadata/labels", "/spec"); absent ones are
// left out.
[[nodiscard]] Projection KeepOnly(std::vector<std::string> pointers);

// Unset functions are not called.
struct CacheHandlers {
  std::function<void(const ObjectPtr& added)> on_add;
  // Also called for what a relist finds changed; not for equal resourceVersions. An object that was
  // replaced by another of its name (the uid differs) is on_delete, then on_add.
  std::function<void(const ObjectPtr& before, const ObjectPtr& after)> on_update;
  // `last` is the last state that was seen, which may be older than the deleted one.
  std::function<void(const ObjectPtr& last)> on_delete;
};

class Cache {
 public:
  // What is kept of one object.
  struct Entry {
    ObjectPtr object;
    std::vector<std::string> labels;  // values of the indexed ones, "" where absent
  };

  // `label_keys`: the labels to index by, read from the object, not from its projection.
  explicit Cache(Projection projection, std::vector<std::string> label_keys = {});

  // Call before the reflector starts.
  void AddHandlers(CacheHandlers handlers);

  // Null when there is none.
  [[nodiscard]] ObjectPtr Find(const ObjectKey& key) const;
  // In the order of their keys, as are the following.
  [[nodiscard]] std::vector<ObjectPtr> All() const;
  [[nodiscard]] std::vector<ObjectPtr> ByOwner(const std::string& uid) const;
  // `label_key` must be indexed.
  [[nodiscard]] std::vector<ObjectPtr> ByLabel(const std::string& label_key,
                                               const std::string& value) const;
  [[nodiscard]] std::vector<ObjectPtr> InNamespace(const std::string& namespace_) const;
  [[nodiscard]] size_t size() const;

  // True once a first list is in and its handlers have run.
  [[nodiscard]] bool synced() const;
  // Blocks until synced(); false when `deadline` passed or `stop` came first.
  [[nodiscard]] bool WaitSynced(Duration deadline, std::stop_token stop) const;

  // The reflector's side. A list may come in many pages, so it is projected as they come.
  [[nodiscard]] Entry Project(const Json& object) const;
  void Replace(std::vector<Entry> entries);
  void Upsert(const Json& object);
  void Remove(const Json& object);

 private:
  using KeysByValue = std::unordered_map<std::string, std::set<ObjectKey>>;

  void Put(Entry entry);
  void Erase(const ObjectKey& key);
  // Under the mutex.
  void Index(const ObjectKey& key, const Entry& entry);
  void Unindex(const ObjectKey& key, const Entry& entry);
  [[nodiscard]] std::vector<ObjectPtr> Pick(const KeysByValue& index,
                                            const std::string& value) const;

  const Projection projection_;
  const std::vector<std::string> label_keys_;
  std::vector<CacheHandlers> handlers_;
  mutable std::shared_mutex mutex_;
  mutable std::condition_variable_any changed_;
  std::map<ObjectKey, Entry> objects_;
  KeysByValue by_owner_;
  std::vector<KeysByValue> by_label_;  // as label_keys_
  bool synced_ = false;
};

}  // namespace longstride::kube
