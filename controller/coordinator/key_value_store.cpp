#include "controller/coordinator/key_value_store.h"

#include "core/base/format.h"

namespace longstride {
namespace {

// Gloo needs one key of a few hundred bytes per member and context.
constexpr size_t kMaxKeys = 65536;
constexpr size_t kMaxBytes = size_t{32} << 20;

}  // namespace

Status KeyValueStore::Set(const std::string& key, const std::vector<uint8_t>& value) {
  const auto it = entries_.find(key);
  const size_t released = it == entries_.end() ? 0 : key.size() + it->second.size();
  const size_t bytes = bytes_ - released + key.size() + value.size();
  if ((it == entries_.end() && entries_.size() >= kMaxKeys) || bytes > kMaxBytes) {
    return ResourceError(
        Format("the rendezvous store is full (%zu keys, %zu bytes)", entries_.size(), bytes_));
  }
  entries_[key] = value;
  bytes_ = bytes;
  return {};
}

void KeyValueStore::Clear() {
  entries_.clear();
  bytes_ = 0;
}

}  // namespace longstride
