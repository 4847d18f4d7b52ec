// A pause that a stop token ends at once.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>

#include "core/base/clock.h"

namespace longstride::kube {

// False when `stop` came before `duration` had passed.
inline bool WaitFor(Duration duration, const std::stop_token& stop) {
  if (duration <= Duration::zero()) return !stop.stop_requested();
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, duration, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace longstride::kube
