// A round whose local steps are done and whose exchange is not: what a survivor keeps of it when a
// peer is lost, so that the next generation only has to repeat the exchange (algorithms.md section
// 9). The parts of those that are not there any more become holes of the ledger.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "core/schedule/ledger.h"
#include "runtime/collective/collective.h"
#include "runtime/training/aligned_buffer.h"
#include "runtime/training/replica.h"
#include "runtime/training/round_statistics.h"
#include "runtime/training/training_state.h"

namespace longstride {

// What the members of a round share out among them.
struct RoundWork {
  RoundSettings settings;  // its local batches are the parts
  std::vector<PositionRange> positions;
  // By part, the rank that did it; -1: its worker is gone.
  std::vector<int> owners;
  int part = -1;  // of this rank; -1: it comes too late for this round
};

// Every rank does the part of its own number.
[[nodiscard]] RoundWork OwnParts(RoundSettings settings, std::vector<PositionRange> positions,
                                 int ranks, int rank);

// What became of the positions: those of ranks whose update was not finite are discarded.
[[nodiscard]] RoundPositions Outcomes(const RoundWork& work, const std::vector<RankSlot>& slots);

// Where one worker's local steps ended.
template <typename T>
class PendingRound {
 public:
  // `anchor`: the model's digest before the round, which names what the update is for.
  PendingRound(const Replica<T>& replica, RoundWork work, RankSlot slot, RoundReport report,
               uint64_t anchor);

  // Puts parameters, buffers and the inner optimizer to where the local steps ended. The replica is
  // at the anchor, and BeginRound was called.
  void Load(Replica<T>& replica) const;

  [[nodiscard]] const RoundWork& work() const { return work_; }
  [[nodiscard]] const RankSlot& slot() const { return slot_; }
  [[nodiscard]] const RoundReport& report() const { return report_; }
  [[nodiscard]] uint64_t anchor() const { return anchor_; }

 private:
  RoundWork work_;
  RankSlot slot_;
  RoundReport report_;  // of this worker, as far as it goes
  uint64_t anchor_;
  std::vector<T> parameters_;
  std::vector<T> buffers_;
  std::vector<int64_t> integers_;
  std::vector<T> inner_;
  int64_t inner_steps_;
};

// Called by all members of a generation, once their states are aligned: agrees on the round that is
// pending for these members, as any of them remembers it. `mine`: this rank's, begun in
// `generation`; null if it has none that follows the aligned state. Nullopt: nobody has one.
[[nodiscard]] Result<std::optional<RoundWork>> AgreeOnPending(Collective& collective,
                                                              const RoundWork* mine,
                                                              GenerationId generation);

extern template class PendingRound<float>;
extern template class PendingRound<double>;

}  // namespace longstride
