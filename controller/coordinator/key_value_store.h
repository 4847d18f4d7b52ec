// The rendezvous store of one generation, bounded in keys and bytes. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/protocol/messages.h"

namespace longstride {

class KeyValueStore {
 public:
  // Sets or replaces. kResource when the store is full.
  Status Set(const std::string& key, const std::vector<uint8_t>& value);
  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(entries_.size()); }
  [[nodiscard]] StoreReply Contents() const { return {{entries_.begin(), entries_.end()}}; }
  void Clear();

 private:
  std::map<std::string, std::vector<uint8_t>> entries_;
  size_t bytes_ = 0;
};

}  // namespace longstride
