// Aborts the present generation's collective from another thread, also if it is asked to before
// there is one. Thread-safe.
#pragma once

#include <mutex>

#include "runtime/collective/collective.h"

namespace longstride {

class AbortSwitch {
 public:
  void Reset() {
    const std::lock_guard lock(mutex_);
    aborted_ = false;
  }
  void Set(Collective* collective) {
    const std::lock_guard lock(mutex_);
    collective_ = collective;
    if (aborted_ && collective_ != nullptr) collective_->Abort();
  }
  void Abort() {
    const std::lock_guard lock(mutex_);
    aborted_ = true;
    if (collective_ != nullptr) collective_->Abort();
  }

 private:
  std::mutex mutex_;
  bool aborted_ = false;
  Collective* collective_ = nullptr;
};

}  // namespace longstride
