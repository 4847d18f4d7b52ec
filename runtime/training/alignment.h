// Brings the members of a new generation to one state: that of the most advanced among them.
#pragma once

#include "core/base/result.h"
#include "runtime/collective/collective.h"
#include "runtime/training/replica.h"
#include "runtime/training/training_state.h"

namespace longstride {

// States are ordered by (generation, round); the lowest rank of those that are ahead gives
// parameters, buffers, outer velocity and `state` to all if any member's differ. Who lagged starts
// with an inner state of zero. Before the first round rank 0 gives, so that w_0 never depends on a
// rank's own random numbers. kBug when members claim the same round with different bits; the
// collective's error when it fails, with nothing changed for good.
template <typename T>
[[nodiscard]] Status AlignStates(Collective& collective, Replica<T>& replica, TrainingState& state);

extern template Status AlignStates(Collective&, Replica<float>&, TrainingState&);
extern template Status AlignStates(Collective&, Replica<double>&, TrainingState&);

}  // namespace longstride
