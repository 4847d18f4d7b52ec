// The history half of FakeStore: what changed, as watches tell it.
#include <algorithm>
#include <utility>

#include "core/base/format.h"
#include "tests/controller/kube/fake_store.h"

namespace longstride::kube {

void FakeStore::Append(Change change) {
  change.version = ++version_;
  changes_.push_back(std::move(change));
  if (changes_.size() > options_.kept_versions) {
    floor_ = changes_.front().version;
    changes_.pop_front();
  }
  if (changed_) changed_();
}

void FakeStore::Compact() {
  const std::lock_guard lock(mutex_);
  floor_ = version_;
  changes_.clear();
}

std::optional<WatchCursor> FakeStore::Open(const ObjectPath& path, const std::string& selector,
                                           const std::string& name, const std::string& version,
                                           std::vector<Text>& lines) {
  const std::lock_guard lock(mutex_);
  WatchCursor cursor{path, Selector(selector), name, version_, /*expired=*/false};
  if (!version.empty() && version != "0") {
    cursor.version = std::strtoll(version.c_str(), nullptr, 10);
    if (cursor.version < floor_) return std::nullopt;
    return cursor;
  }
  for (const auto& [key, stored] : collections_[path.collection]) {
    Change change;
    change.collection = path.collection;
    change.after = stored.object;
    change.text = stored.text;
    if (Text line = LineOf(change, cursor)) lines.push_back(std::move(line));
  }
  return cursor;
}

std::vector<Text> FakeStore::Read(WatchCursor& cursor) {
  const std::lock_guard lock(mutex_);
  std::vector<Text> lines;
  cursor.expired = cursor.version < floor_;
  if (cursor.expired) return lines;
  auto it = std::upper_bound(
      changes_.begin(), changes_.end(), cursor.version,
      [](int64_t version, const Change& change) { return version < change.version; });
  for (; it != changes_.end(); ++it) {
    if (Text line = LineOf(*it, cursor)) lines.push_back(std::move(line));
  }
  cursor.version = version_;
  return lines;
}

Text FakeStore::LineOf(const Change& change, const WatchCursor& cursor) {
  if (change.collection != cursor.path.collection) return nullptr;
  const ObjectKey key = KeyOf(*change.after);
  const std::string& namespace_ = cursor.path.key.namespace_;
  if (!namespace_.empty() && key.namespace_ != namespace_) return nullptr;
  if (!cursor.name.empty() && key.name != cursor.name) return nullptr;
  const bool was_seen = change.before && cursor.selector.Matches(*change.before);
  const bool is_seen = !change.deleted && cursor.selector.Matches(*change.after);
  if (!was_seen && !is_seen) return nullptr;
  const char* type = !was_seen ? "ADDED" : is_seen ? "MODIFIED" : "DELETED";
  return ShareText(Format(R"({"type":"%s","object":)", type) + *change.text + "}\n");
}

Text FakeStore::Bookmark(const WatchCursor& cursor) {
  const std::lock_guard lock(mutex_);
  const auto& [api_version, kind] = kinds_[cursor.path.collection];
  return ShareText(
      Format(R"({"type":"BOOKMARK","object":{"apiVersion":"%s","kind":"%s","metadata":{)"
             R"("resourceVersion":"%lld"}}})"
             "\n",
             api_version.c_str(), kind.c_str(), static_cast<long long>(cursor.version)));
}

}  // namespace longstride::kube
