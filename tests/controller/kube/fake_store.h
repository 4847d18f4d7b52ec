// The objects behind the fake API server and their history. Answers are what the API server would
// say, as status and text. Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controller/kube/resource.h"
#include "tests/controller/kube/fake_api_server.h"
#include "tests/controller/kube/fake_objects.h"
#include "tests/controller/kube/field_owners.h"
#include "tests/controller/kube/selector.h"

namespace longstride::kube {

struct WatchCursor {
  ObjectPath path;
  Selector selector{""};
  std::string name;  // of the one object asked for, or ""
  int64_t version = 0;
  bool expired = false;  // history has gone past it
};

struct DeleteRequest {
  std::string uid;
  std::string resource_version;
  std::string propagation;
  std::optional<int> grace_seconds;
};

class FakeStore {
 public:
  explicit FakeStore(const FakeApiOptions& options) : options_(options) {}

  void SetAdmission(FakeApiServer::Admission admit);
  // Called, under the store's mutex, after every change.
  void OnChange(std::function<void()> changed);

  StoreReply Get(const ObjectPath& path);
  // `limit` 0: all; `after`: a continue token.
  StoreReply List(const ObjectPath& path, const Selector& selector, const std::string& name,
                  size_t limit, const std::string& after);
  StoreReply Create(const ObjectPath& path, Json object, const std::string& manager);
  StoreReply Update(const ObjectPath& path, const Json& object, const std::string& manager);
  StoreReply MergePatch(const ObjectPath& path, const Json& patch, const std::string& manager);
  StoreReply Apply(const ObjectPath& path, const Json& object, const std::string& manager,
                   bool force);
  StoreReply Delete(const ObjectPath& path, const DeleteRequest& request);

  // Creates or replaces; a status that is not given stays.
  Json Put(const ObjectPath& path, Json object);
  std::optional<Json> Peek(const ObjectPath& path);
  std::vector<Json> PeekAll(const ObjectPath& path);

  // A cursor from a resourceVersion as a watch gives it; "" and "0" start with what there is, which
  // is then in `lines`. Nothing when history does not reach so far back.
  std::optional<WatchCursor> Open(const ObjectPath& path, const std::string& selector,
                                  const std::string& name, const std::string& version,
                                  std::vector<Text>& lines);
  // The lines that the cursor has not seen, and moves it; or says that it has expired.
  std::vector<Text> Read(WatchCursor& cursor);
  Text Bookmark(const WatchCursor& cursor);
  void Compact();

 private:
  struct Stored {
    std::shared_ptr<const Json> object;
    Text text;
    FieldOwners owners;
  };
  struct Change {
    int64_t version = 0;
    std::string collection;
    std::shared_ptr<const Json> before;  // null: it was created
    std::shared_ptr<const Json> after;
    bool deleted = false;
    Text text;  // of `after`
  };
  using Collection = std::map<ObjectKey, Stored>;

  // All of these under the mutex.
  [[nodiscard]] Stored* Find(const ObjectPath& path);
  StoreReply CreateLocked(const ObjectPath& path, Json object, const std::string& manager);
  StoreReply Replace(const ObjectPath& path, Stored& stored, Json wanted,
                     const std::string& manager);
  void Commit(const std::string& collection, const ObjectKey& key, Stored& stored, Json object);
  void Erase(const std::string& collection, const ObjectKey& key);
  void CollectGarbage(const std::string& uid, bool orphan);
  void Append(Change change);
  [[nodiscard]] static Text LineOf(const Change& change, const WatchCursor& cursor);

  const FakeApiOptions options_;
  std::mutex mutex_;
  FakeApiServer::Admission admit_;
  std::function<void()> changed_;
  std::map<std::string, Collection> collections_;
  std::map<std::string, std::set<std::pair<std::string, ObjectKey>>> dependents_;  // by owner UID
  std::map<std::string, std::pair<std::string, std::string>> kinds_;  // apiVersion, kind
  std::deque<Change> changes_;
  int64_t version_ = 0;
  int64_t floor_ = 0;  // changes after this version are kept
  int64_t next_uid_ = 1;
};

}  // namespace longstride::kube
