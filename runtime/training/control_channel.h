// The engine's only link to the coordinator. Apart from engine.h so that what implements it needs
// no tensors.
#pragma once

#include <vector>

#include "core/protocol/messages.h"

namespace longstride {

// Plans and requests in, reports out. Called from the engine's thread at round boundaries only;
// must not block on the network (implementations queue).
class ControlChannel {
 public:
  virtual ~ControlChannel() = default;
  // All plans known so far, by first_round.
  virtual std::vector<Plan> Plans() = 0;
  // A signal, or the coordinator, wants the run to stop at the next boundary.
  virtual bool StopRequested() = 0;
  virtual void Report(const RoundReport& report) = 0;
};

}  // namespace longstride
