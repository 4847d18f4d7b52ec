// A map of bounded size that forgets the entry that was asked for longest ago. Not thread-safe.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>

namespace longstride::kube {

template <typename T>
class RecentMap {
 public:
  explicit RecentMap(size_t capacity) : capacity_(capacity) {}

  // The entry of `key`, made by `make()` if there is none.
  template <typename Make>
  T& GetOr(const std::string& key, Make make) {
    const auto found = index_.find(key);
    if (found != index_.end()) {
      order_.splice(order_.begin(), order_, found->second);
      return order_.front().second;
    }
    order_.emplace_front(key, make());
    index_[key] = order_.begin();
    if (order_.size() > capacity_) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    return order_.front().second;
  }

  // Without asking for it.
  [[nodiscard]] bool Contains(const std::string& key) const { return index_.contains(key); }
  [[nodiscard]] size_t size() const { return order_.size(); }

 private:
  size_t capacity_;
  std::list<std::pair<std::string, T>> order_;  // the most recent first
  std::unordered_map<std::string, typename std::list<std::pair<std::string, T>>::iterator> index_;
};

}  // namespace longstride::kube
