// The engine behind engine.h for one element type. See engine.h for the contract.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/training/checkpoint_state.h"
#include "runtime/training/engine.h"
#include "runtime/training/local_round.h"
#include "runtime/training/pending_round.h"
#include "runtime/training/replica.h"
#include "runtime/training/state_transfer.h"
#include "runtime/training/synchronizer.h"
#include "runtime/training/training_state.h"

namespace longstride {

template <typename T>
class RoundEngine final : public Engine {
 public:
  RoundEngine(EngineOptions options, std::shared_ptr<const Dataset> train,
              std::shared_ptr<const Dataset> evaluation, std::unique_ptr<Model> model);

  Result<Outcome> Run(const Generation& generation, Collective& collective,
                      ControlChannel& control) override;
  [[nodiscard]] int64_t round() const override {
    if (resume_from_) return resume_from_->round;
    return whole_ ? state_.round : held_round_;
  }
  [[nodiscard]] int64_t parameter_count() const override {
    return replica_.flat().parameter_count();
  }
  [[nodiscard]] std::optional<CommittedCheckpoint> TakeCheckpoint() override {
    return saver_ ? saver_->TakeCommitted() : std::nullopt;
  }
  Status Resume(const std::string& directory) override;
  [[nodiscard]] int64_t min_batch() const override { return gradients_.min_micro_batch(); }
  Result<double> TimeStep(int64_t batch, int64_t micro_batch) override;
  // TimeStep's scratch state stands for the copy that a checkpoint or a pending round needs;
  // missing are the message and step 0's gradient.
  [[nodiscard]] int64_t round_bytes() const override {
    return 2 * replica_.size() * static_cast<int64_t>(sizeof(T));
  }
  void LimitMicroBatch(int64_t samples) override {
    gradients_.set_memory_cap(std::min(gradients_.memory_cap(), samples));
  }

 private:
  // What lives as long as one generation.
  struct Context {
    const Generation& generation;
    Collective& collective;
    ControlChannel& control;
    LocalRound<T> local;
    Synchronizer<T> synchronizer;
    StateTransfer<T> transfer;
    LocalRoundOptions options;
    std::vector<Plan> plans;  // known to this worker, of those that may still govern a round
    int64_t agreed = 0;       // plan version that every member has
    bool checkpoint_overdue = false;
  };

  Result<Outcome> RunGeneration(const Generation& generation, Collective& collective,
                                ControlChannel& control);
  Status LoadState(int rank);
  // Clears what interrupted runs left of checkpoints.
  Status RecoverCheckpoints(const GenerationId& generation);
  // Members get one state, at once or, where that may wait, in the background of the next rounds.
  Result<std::vector<int>> Align(Collective& collective, bool in_background);
  // A generation begins: the round that was pending when the last one broke, if any member has it.
  Result<BoundaryRequest> CompletePending(Context& context);
  // One round from its anchor to its report. Returns what all members do at its boundary. On an
  // error before the commit the replica and the state are those of the anchor.
  Result<BoundaryRequest> RunRound(Context& context);
  Status RunLocally(Context& context, const RoundWork& work, Stopwatch& watch, RankSlot& slot,
                    RoundReport& report);
  // From the end of the local steps to the report. When a peer is lost the round becomes pending.
  Result<BoundaryRequest> Synchronize(Context& context, RoundWork work, StepZero<T>* step_zero,
                                      RankSlot slot, RoundReport report, Stopwatch& watch);
  // Books the round: cursor, next batch, plan; the report's common part.
  Status Advance(Context& context, const RoundWork& work, const Exchange& exchange,
                 RoundReport& report);
  // What is due at this boundary. `stop`: no round follows.
  Status FinishBoundary(Context& context, const RoundSettings& settings, const Exchange& exchange,
                        bool stop, Stopwatch& watch, RoundReport& report);
  Status Evaluate(Context& context, const RoundSettings& settings, RoundReport& report);
  Status Checkpoint(Context& context, const RoundSettings& settings, const Exchange& exchange,
                    bool stop, RoundReport& report);
  [[nodiscard]] bool CheckpointDue() const;
  // Whether every rank's disk took what was given to it last, once none is at it any more. Unlike
  // Finish of the saver this wait ends with the generation.
  Result<bool> AwaitDisks(Collective& collective);
  [[nodiscard]] bool Finished() const;
  // Of all shards that are known, with local data.
  [[nodiscard]] int64_t EpochSamples() const;

  EngineOptions options_;
  std::shared_ptr<const Dataset> train_;
  std::shared_ptr<const Dataset> evaluation_;
  Replica<T> replica_;
  GradientComputer<T> gradients_;
  TrainingState state_;
  std::vector<int64_t> shards_;  // of the present members by rank; empty for shared data
  std::unique_ptr<CheckpointSaver<T>> saver_;  // null without a checkpoint directory
  std::optional<checkpoint::Checkpoint> resume_from_;
  std::string resume_directory_;
  uint64_t model_digest_ = 0;  // at the present boundary
  // False: the parameters are not, or not yet, those of state_, which is then another member's.
  bool whole_ = true;
  int64_t held_round_ = 0;  // while that is so, of the state that it had before
  bool leaving_ = false;    // this worker told the others so in the present round
  std::optional<PendingRound<T>> pending_;
  int64_t strikes_ = 0;        // rounds in a row in which only this worker's update was not finite
  int64_t wasted_rounds_ = 0;  // in a row, in which no worker's update was finite
};

extern template class RoundEngine<float>;
extern template class RoundEngine<double>;

}  // namespace longstride
