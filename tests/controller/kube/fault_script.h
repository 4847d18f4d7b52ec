// The faults that a fake API server still has to commit. Thread-safe.
#pragma once

#include <list>
#include <mutex>
#include <optional>
#include <string>

#include "tests/controller/kube/fake_api_server.h"
#include "tests/controller/kube/fake_connection.h"

namespace longstride::kube {

class FaultScript {
 public:
  void Add(FakeFault fault) {
    const std::lock_guard lock(mutex_);
    faults_.push_back(std::move(fault));
  }
  void Clear() {
    const std::lock_guard lock(mutex_);
    faults_.clear();
  }

  // The first fault that this request meets, if any; it counts as committed.
  std::optional<FakeFault> Next(const FakeRequest& request, bool watch) {
    const std::lock_guard lock(mutex_);
    for (auto it = faults_.begin(); it != faults_.end(); ++it) {
      if (!it->method.empty() && it->method != request.method) continue;
      if (request.path.find(it->path_contains) == std::string::npos) continue;
      if (request.body.find(it->body_contains) == std::string::npos) continue;
      if (it->watch && *it->watch != watch) continue;
      if (it->skip > 0) {
        --it->skip;
        continue;
      }
      FakeFault fault = *it;
      if (it->times > 0 && --it->times == 0) faults_.erase(it);
      return fault;
    }
    return std::nullopt;
  }

 private:
  std::mutex mutex_;
  std::list<FakeFault> faults_;
};

}  // namespace longstride::kube
