// What a checkpoint holds, and its way to the disk and back. The folder's layout and the promise
// that a folder with a final name is whole are runtime/checkpoint's; this file says which tensors
// go where:
//
//   model.safetensors     by rank 0: parameters and buffers by the model's names, and
//                         "outer.velocity.NAME" where the outer optimizer has a velocity
//   rank-RRR.safetensors  by each rank: the inner optimizer's state, "momentum.NAME" and so on,
//                         and "steps"
//   state.json            TrainingState, with H and b_m of the last round for people to read
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "runtime/checkpoint/checkpoint_directory.h"
#include "runtime/checkpoint/checkpoint_writer.h"
#include "runtime/training/replica.h"
#include "runtime/training/training_state.h"

namespace longstride {

// Saves a worker's part of checkpoints beside training. Every rank calls Save at the same boundary;
// once all ranks' Saved() is true (or all have passed Finish and a barrier), every rank calls
// CommitPending, and the lowest one publishes. Not thread-safe. Errors: kResource when the disk
// fails.
template <typename T>
class CheckpointSaver {
 public:
  CheckpointSaver(std::string directory, int64_t keep);

  // Makes the generation the folder's owner, and clears what crashes left; by the lowest rank while
  // no rank writes. kLostPeer, with nothing cleared, when the folder is a later generation's; after
  // any other failure the next Save of that rank takes it over.
  Status Recover(const GenerationId& generation);
  // Forgets a checkpoint that was not committed, after waiting for its files.
  void AbandonPending();
  // The same once all ranks have passed Finish; the lowest removes what was written of it.
  void DiscardPending(int rank);

  // Copies what is to be saved and writes it in the background. A failure of the one before is
  // logged, and forgotten.
  Status Save(Replica<T>& replica, const TrainingState& state, const RoundSettings& settings,
              const Generation& generation);
  [[nodiscard]] bool pending() const { return pending_.has_value(); }
  [[nodiscard]] bool Saved() const;  // pending, and its files could be written
  // Whether nothing is in flight, after waiting for that so long at most; and whether what was
  // written last succeeded then.
  [[nodiscard]] bool Idle(Duration limit) const { return writer_.Idle(limit); }
  [[nodiscard]] bool Succeeded() const { return writer_.Succeeded(); }
  Status CommitPending(int rank);
  Status Finish();  // waits for what is in flight
  // The checkpoint that this rank published last, unless an earlier call returned it.
  [[nodiscard]] std::optional<CommittedCheckpoint> TakeCommitted() {
    return writer_.TakeCommitted();
  }

 private:
  std::string directory_;
  int64_t keep_;
  bool owned_ = false;  // by the generation that is going on; of the lowest rank
  checkpoint::CheckpointWriter writer_;
  std::optional<checkpoint::CheckpointRequest> pending_;  // the commit of what was saved last
};

// The newest whole checkpoint below `directory`; kData if there is none, with the reason.
[[nodiscard]] Result<checkpoint::Checkpoint> FindCheckpoint(const std::string& directory);

// Reads the common state and the inner state of `rank`; a rank that the checkpoint has no file of
// starts with an inner state of zero, and a warning. kData when the checkpoint does not fit the
// model or optimizer.
template <typename T>
[[nodiscard]] Status LoadCheckpoint(const checkpoint::Checkpoint& checkpoint, int rank,
                                    Replica<T>& replica, TrainingState& state);

extern template class CheckpointSaver<float>;
extern template class CheckpointSaver<double>;
extern template Status LoadCheckpoint(const checkpoint::Checkpoint&, int, Replica<float>&,
                                      TrainingState&);
extern template Status LoadCheckpoint(const checkpoint::Checkpoint&, int, Replica<double>&,
                                      TrainingState&);

}  // namespace longstride
