// A thread of its own for blocking operations that cannot be cancelled from within, so that the
// caller can give up on them. The thread owns what the operations use; the caller waits for as long
// as they get on.
//
// When nothing has moved for the limit, Abort is called or the operation is hopeless, `interrupt`
// is asked to make the running operation fail soon. If it has not returned within `grace`, the
// caller walks away: the thread is left behind with all it owns, and ends when the operation does.
// That is not possible while the operation uses the caller's memory, and not more than
// kMaxAbandoned times in a process: then the process ends with the exit code of kTransient, because
// it is beyond repair and a fresh one is not.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace longstride {

struct OperationHooks {
  // Makes a running operation fail soon. Called from any thread, more than once, also when none
  // runs.
  std::function<void()> interrupt = [] {};
  // The thread's last act: frees what the operations used.
  std::function<void()> release = [] {};
  // Asked by the waiting caller now and then: can the running operation no longer succeed?
  std::function<bool()> is_hopeless = [] { return false; };
  // Asked as often: a number that grows while operations get on.
  std::function<uint64_t()> bytes_moved = [] { return uint64_t{0}; };
};

class OperationThread {
 public:
  static constexpr int kMaxAbandoned = 2;
  enum class IfStuck { kLeaveBehind, kExit };

  OperationThread(OperationHooks hooks, Duration grace);
  ~OperationThread();
  OperationThread(const OperationThread&) = delete;
  OperationThread& operator=(const OperationThread&) = delete;

  // Runs `operation` on the thread and returns its status. Without progress for `limit` it is
  // kTransient, Abort and a hopeless operation are kLostPeer. After any failure every later call
  // fails at once with the same error. With kLeaveBehind `operation` may outlive the call, so it
  // must not refer to the caller's memory. One caller at a time.
  [[nodiscard]] Status Run(std::function<Status()> operation, Duration limit, IfStuck if_stuck);

  // Thread-safe, idempotent.
  void Abort();

  // Threads of this process that were left behind and have not ended yet.
  [[nodiscard]] static int Abandoned();

 private:
  struct State;
  [[nodiscard]] Status Interrupt(Error reason, IfStuck if_stuck);
  std::shared_ptr<State> state_;
};

}  // namespace longstride
