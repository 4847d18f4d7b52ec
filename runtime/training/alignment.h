// Brings the members of a new generation to one state: that of the most advanced among them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/result.h"
#include "runtime/collective/collective.h"
#include "runtime/training/replica.h"
#include "runtime/training/training_state.h"

namespace longstride {

struct AlignmentOptions {
  bool whole = true;      // this member's replica holds the parameters of its state
  bool finished = false;  // by its state no round is left
  // Of the data that all members must have alike: evaluation data, and training data unless each
  // has its own. 0: none.
  int64_t train_samples = 0;
  int64_t evaluation_samples = 0;
  // States of at most so many bytes are given at once, larger ones in the background. Equal on all.
  int64_t at_once_bytes = INT64_MAX;
};

// States are ordered by (generation, round); the lowest rank of those that are ahead gives
// parameters, buffers, outer velocity and `state` to all if any member's differ. Who lagged starts
// with an inner state of zero. Before the first round rank 0 gives, so that w_0 never depends on a
// rank's own random numbers.
//
// When rounds are left to do and the state is large, members that lag get only `state` here, and
// parameters and velocity later, from the member named in the answer: by rank, -1 for those that
// hold them (StateTransfer). Givers take turns.
//
// kTransient when no member is whole, kData when shared data are not equally large on all members,
// for a position would then mean another sample on each; kBug when members claim the same round
// with different bits; the collective's error when it fails, with nothing changed for good.
template <typename T>
[[nodiscard]] Result<std::vector<int>> AlignStates(Collective& collective, Replica<T>& replica,
                                                   TrainingState& state,
                                                   const AlignmentOptions& options);

extern template Result<std::vector<int>> AlignStates(Collective&, Replica<float>&, TrainingState&,
                                                     const AlignmentOptions&);
extern template Result<std::vector<int>> AlignStates(Collective&, Replica<double>&, TrainingState&,
                                                     const AlignmentOptions&);

}  // namespace longstride
