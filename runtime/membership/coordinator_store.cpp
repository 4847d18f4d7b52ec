#include "runtime/membership/coordinator_store.h"

#include <algorithm>

namespace longstride {
namespace {

constexpr double kExpectedSeconds = 2;

}  // namespace

CoordinatorStore::CoordinatorStore(std::shared_ptr<CoordinatorClient> client,
                                   GenerationId generation, int64_t expected)
    : client_(std::move(client)), generation_(generation), expected_(expected) {}

Status CoordinatorStore::Set(const std::string& key, const std::vector<uint8_t>& value) {
  return client_->StoreSet(generation_, key, value);
}

Result<std::vector<uint8_t>> CoordinatorStore::Get(const std::string& key, Duration timeout) {
  const TimePoint until = clock_.Now() + timeout;
  bool first = true;
  while (true) {
    int64_t count = 0;
    {
      const std::lock_guard lock(mutex_);
      if (const auto it = known_.find(key); it != known_.end()) return it->second;
      count = static_cast<int64_t>(known_.size()) + 1;
    }
    const double left = ToSeconds(until - clock_.Now());
    if (left <= 0) return TransientError("no member has set \"" + key + "\" in time");
    const bool all = first && count < expected_;
    LONGSTRIDE_ASSIGN_OR_RETURN(auto entries,
                                client_->StoreRead(generation_, all ? expected_ : count,
                                                   all ? std::min(left, kExpectedSeconds) : left));
    first = false;
    const std::lock_guard lock(mutex_);
    for (auto& [name, value] : entries) known_[name] = std::move(value);
  }
}

}  // namespace longstride
