// The round engine: H local optimizer steps from a common anchor, one weighted average, one outer
// step, one norm test, and the same decision on every worker (algorithms.md sections 2 to 7, 9).
//
// It knows no network and no clock-driven policy: a Collective carries its messages, a
// ControlChannel brings plans and stop requests, and reports go out through the same channel.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "core/spec/training_job.h"
#include "runtime/collective/collective.h"
#include "runtime/data/dataset.h"
#include "runtime/training/control_channel.h"

namespace longstride {

class Model;

// Why a call of Run returned without an error.
enum class Outcome {
  kCompleted,  // maxSamples, maxEpochs or the evaluation target was reached
  kStopped,    // a stop was requested; a checkpoint was written
  kReformed,   // members change; Run goes on with the next generation
  kLeft,       // this worker was asked to leave; the others go on
  kUnfit,      // its update was not finite several rounds in a row, others' were: it starts anew
};

struct EngineOptions {
  TrainingJob job;
  std::string checkpoint_directory{};  // "" = no checkpoints
  std::string device{};                // where the model computes, as of FlatState; "" = the CPU
  // A larger state comes to newcomers in the background, while the others go on (StateTransfer).
  int64_t state_at_once_bytes = 1 << 20;
};

// State of one worker's training: parameters, optimizers, schedule, cursor. Lives across
// generations.
class Engine {
 public:
  virtual ~Engine() = default;

  // Trains within one generation until the job is done, a stop is requested or a failure. On
  // kLostPeer or kTransient the state is that of the last committed round and Run may be called
  // with the next generation: members that lag behind are brought to the most advanced state, and a
  // round whose local steps were done is completed by those that did them.
  //
  // Rounds are numbered from 1. Round k is governed by the plan with the largest first_round <= k
  // among those whose version every member had before the round; each member must have all plans
  // up to its newest. The last round takes fewer local steps, so that the run ends at the sample
  // limit or less than one global batch beyond it. A round's report follows its commit and the
  // evaluation and checkpoint that are due at its boundary. The evaluation set is evaluated
  // whenever the cursor crosses a multiple of everySamples, and at the end of a run that was not
  // stopped.
  //
  // Errors besides those of the collective: kUser when no worker's update was finite for ten
  // rounds, the batch cannot be split, or its part is below min_batch, kResource, kData (a
  // checkpoint that does not fit), kBug naming the ranks whose replicas differ.
  virtual Result<Outcome> Run(const Generation& generation, Collective& collective,
                              ControlChannel& control) = 0;

  // Rounds committed in the state that it holds: what it joined with, as long as it has not got the
  // others'.
  [[nodiscard]] virtual int64_t round() const = 0;
  [[nodiscard]] virtual int64_t parameter_count() const = 0;

  // The newest checkpoint that this worker committed, unless a report or an earlier call has told
  // of it: for its last word. Call it outside Run.
  [[nodiscard]] virtual std::optional<CommittedCheckpoint> TakeCheckpoint() = 0;

  // Continues from the newest complete checkpoint below `directory` when Run is next called: each
  // rank reads the common state and its own inner state. kData with the reason if none can be read.
  virtual Status Resume(const std::string& directory) = 0;

  // Fewest samples that a step can take, and so b_m and every micro-batch: 1, or 2 where batch
  // normalization cannot train on one.
  [[nodiscard]] virtual int64_t min_batch() const = 0;

  // One optimizer step's time at batch b on scratch state, for the profile; leaves no trace.
  // `micro_batch` <= b splits it. kResource when memory does not suffice.
  virtual Result<double> TimeStep(int64_t batch, int64_t micro_batch) = 0;

  // Bytes that a round takes beyond what TimeStep does, for the memory model.
  [[nodiscard]] virtual int64_t round_bytes() const = 0;

  // From the next local step on, micro-batches of at most `samples`, whatever the plan allows.
  // Within Run only from calls of the ControlChannel.
  virtual void LimitMicroBatch(int64_t samples) = 0;
};

// kData for a training set without samples; kUser for a job that would never end, or that waits for
// an accuracy where there are no classes; kResource when memory does not suffice.
[[nodiscard]] Result<std::unique_ptr<Engine>> MakeEngine(EngineOptions options,
                                                         std::shared_ptr<const Dataset> train,
                                                         std::shared_ptr<const Dataset> evaluation,
                                                         std::unique_ptr<Model> model);

}  // namespace longstride
