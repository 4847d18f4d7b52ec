// The engine's only link to the coordinator. Apart from engine.h so that what implements it needs
// no tensors.
#pragma once

#include <vector>

#include "core/protocol/messages.h"

namespace longstride {

// What a worker is asked to do at the next round boundary; the greater goes first.
enum class BoundaryRequest {
  kNone,
  kReform,  // members change: all leave the generation and form the next
  kLeave,   // this worker ends, the others go on without it
  kStop,    // the job stops, with a checkpoint
};

// Plans and requests in, reports out. Called from the engine's thread at round boundaries only;
// must not block on the network (implementations queue).
class ControlChannel {
 public:
  virtual ~ControlChannel() = default;
  // All plans known so far that may still govern a round, by first_round.
  virtual std::vector<Plan> Plans() = 0;
  virtual BoundaryRequest Requested() = 0;
  virtual void Report(const RoundReport& report) = 0;
};

}  // namespace longstride
