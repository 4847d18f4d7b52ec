// The engine's only link to the coordinator. Apart from engine.h so that what implements it needs
// no tensors.
#pragma once

#include <cstdint>
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

// What the engine's thread is about to do that waits for no other member.
struct OwnWork {
  enum class Kind { kNone, kLocalStep, kEvaluationBatch };
  Kind kind = Kind::kNone;  // kNone: it may wait for others from here on
  int64_t left = 0;         // so many of the kind, this one included
  double seconds = 0;       // that one is predicted to take; 0 = not known
};

// Plans and requests in, reports out. Called from the engine's thread, all but Begins at round
// boundaries only; must not block on the network (implementations queue).
class ControlChannel {
 public:
  virtual ~ControlChannel() = default;
  // All plans known so far that may still govern a round, by first_round.
  virtual std::vector<Plan> Plans() = 0;
  virtual BoundaryRequest Requested() = 0;
  virtual void Report(const RoundReport& report) = 0;
  // Before each local step and each batch of an evaluation, and once after the last of them.
  virtual void Begins(const OwnWork&) {}
};

}  // namespace longstride
