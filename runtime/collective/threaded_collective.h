// The Collective over an OperationBackend: hands each operation to a thread of its own, which owns
// the backend, and waits for it for as long as it gets on.
#pragma once

#include <memory>

#include "runtime/collective/collective.h"
#include "runtime/collective/operation_backend.h"

namespace longstride {

struct ThreadedOptions {
  int rank = 0;
  int size = 1;
  Duration connect_timeout{};
  Duration timeout{};  // of each operation without progress
};

// Connects `backend` through `store` and returns when it is connected. With one member there is
// nothing to connect, and `backend` is not used.
[[nodiscard]] Result<std::unique_ptr<Collective>> MakeThreadedCollective(
    const ThreadedOptions& options, std::unique_ptr<OperationBackend> backend,
    std::shared_ptr<RendezvousStore> store);

}  // namespace longstride
