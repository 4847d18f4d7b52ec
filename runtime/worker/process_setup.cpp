#include "runtime/worker/process_setup.h"

#include <ATen/Parallel.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>

namespace longstride {
namespace {

std::atomic<bool> stop_signalled{false};
static_assert(std::atomic<bool>::is_always_lock_free, "it is used in a signal handler");

void OnStopSignal(int signal) {
  if (stop_signalled.exchange(true)) _exit(128 + signal);
}

}  // namespace

void CatchStopSignals() {
  struct sigaction action {};
  action.sa_handler = OnStopSignal;
  action.sa_flags = SA_RESTART;
  for (int signal : {SIGTERM, SIGINT}) sigaction(signal, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

bool StopSignalled() {
  return stop_signalled.load();
}

void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  mallopt(M_TOP_PAD, 64 << 20);
}

void MapLargeBlocks(int64_t memory_limit_bytes) {
  constexpr int64_t kPart = 16;  // of the limit, which a few holes of that size do not matter to
  if (memory_limit_bytes <= 0) return;
  mallopt(M_MMAP_THRESHOLD,
          static_cast<int>(std::clamp<int64_t>(memory_limit_bytes / kPart, 1 << 20, 1 << 30)));
}

void ReturnFreedMemory() {
  malloc_trim(0);
}

void SetComputeThreads(int64_t threads) {
  at::set_num_threads(static_cast<int>(threads));
  at::set_num_interop_threads(1);
}

}  // namespace longstride
