// What a round's boundary brings besides the average: evaluation and checkpoint.
#include <algorithm>
#include <cstddef>

#include "core/base/format.h"
#include "core/base/log.h"
#include "runtime/training/evaluation.h"
#include "runtime/training/round_engine.h"

namespace longstride {
namespace {

constexpr int64_t kEvaluationBatch = 256;
constexpr Duration kDiskPoll = std::chrono::milliseconds(200);

bool AnyLeaves(const Exchange& exchange) {
  return std::ranges::any_of(
      exchange.slots, [](const RankSlot& s) { return s.request == BoundaryRequest::kLeave; });
}

}  // namespace

template <typename T>
Status RoundEngine<T>::FinishBoundary(Context& context, const RoundSettings& settings,
                                      const Exchange& exchange, bool stop, Stopwatch& watch,
                                      RoundReport& report) {
  if (!context.transfer.complete()) {
    // Without all members neither can be done; both are made up for when they are there.
    if (!stop && !Finished()) {
      context.checkpoint_overdue =
          context.checkpoint_overdue || CheckpointDue() || AnyLeaves(exchange);
      return {};
    }
    LONGSTRIDE_RETURN_IF_ERROR(Align(context.collective, false));
    model_digest_ = replica_.ModelDigest();
    report.digest = Format("%016lx", model_digest_);
    watch.Lap(report.seconds.communication);
  }
  LONGSTRIDE_RETURN_IF_ERROR(Evaluate(context, settings, report));
  watch.Lap(report.seconds.evaluation);
  if (saver_) LONGSTRIDE_RETURN_IF_ERROR(Checkpoint(context, settings, exchange, stop, report));
  watch.Lap(report.seconds.checkpoint);
  return {};
}

template <typename T>
bool RoundEngine<T>::CheckpointDue() const {
  const int64_t every = options_.job.spec.checkpoint.every_rounds;
  return every > 0 && state_.round % every == 0;
}

template <typename T>
Status RoundEngine<T>::Evaluate(Context& context, const RoundSettings& settings,
                                RoundReport& report) {
  const EvaluationSpec& spec = options_.job.spec.evaluation;
  const int64_t marks = EvaluationMarks(spec, EpochSamples(), state_.ledger.cursor());
  if (!evaluation_ || evaluation_->size() == 0 || (marks <= state_.evaluations && !Finished()))
    return {};
  // A round completed after its generation has the plan of other members.
  int64_t cap = gradients_.memory_cap();
  std::vector<int64_t> weights(context.generation.members.size(), 1);
  if (settings.plan.shares.size() == weights.size()) {
    cap = std::min(cap, settings.plan.shares[context.options.rank].micro_batch_cap);
    weights = settings.local_batches;  // as fast as they train they evaluate
  }
  replica_.flat().ToDevice();
  LONGSTRIDE_ASSIGN_OR_RETURN(const EvaluationResult result,
                              longstride::Evaluate(replica_.model(), gradients_, *evaluation_,
                                                   std::min(kEvaluationBatch, cap), weights,
                                                   context.collective, context.options.begins));
  state_.evaluations = marks;
  report.evaluation_loss = result.loss;
  report.evaluation_accuracy = result.accuracy;
  if (spec.target) {
    const bool by_accuracy = spec.target->metric == TargetMetric::kAccuracy;
    state_.target_reached =
        by_accuracy ? result.accuracy >= spec.target->value : result.loss <= spec.target->value;
  }
  report.target_reached = state_.target_reached;
  return {};
}

template <typename T>
Status RoundEngine<T>::RecoverCheckpoints(const GenerationId& generation) {
  const Status recovered = saver_->Recover(generation);
  if (recovered.ok()) return {};
  // A generation that was long in beginning may have been given up and replaced meanwhile. And a
  // path that cannot work is found early; once rounds are committed a checkpoint is not worth the
  // run, and the disk may be back by the next one.
  if (state_.round == 0 || recovered.error().code == ErrorCode::kLostPeer) return recovered;
  LogWarning("training", "the checkpoints' folder: " + recovered.error().message);
  return {};
}

template <typename T>
Result<bool> RoundEngine<T>::AwaitDisks(Collective& collective) {
  constexpr std::byte kWriting{0}, kFailed{1}, kWritten{2};
  std::vector<std::byte> all(static_cast<size_t>(collective.size()));
  do {
    const bool idle = saver_->Idle(kDiskPoll);
    const std::byte mine = !idle ? kWriting : saver_->Succeeded() ? kWritten : kFailed;
    LONGSTRIDE_RETURN_IF_ERROR(collective.AllGather(std::span(&mine, 1), all, Purpose::kControl));
  } while (std::ranges::find(all, kWriting) != all.end());
  return std::ranges::find(all, kFailed) == all.end();
}

template <typename T>
Status RoundEngine<T>::Checkpoint(Context& context, const RoundSettings& settings,
                                  const Exchange& exchange, bool stop, RoundReport& report) {
  const int rank = context.options.rank;
  const bool last = stop || Finished();
  // When all are told to leave, some may hear of it a round before the others, who then have no
  // generation to write a checkpoint in.
  const bool leaving = AnyLeaves(exchange);
  const bool due = last || leaving || CheckpointDue() || context.checkpoint_overdue;
  // Every rank's files must be on the disk before the lowest rank commits. Normally the slots of a
  // later round say so; when the next checkpoint or the end comes first, all wait. What could not
  // be written is given up, unless it was to be the last.
  const auto complete_now = [&]() -> Result<bool> {
    LONGSTRIDE_ASSIGN_OR_RETURN(const bool written, AwaitDisks(context.collective));
    if (written) LONGSTRIDE_RETURN_IF_ERROR(saver_->CommitPending(rank));
    return written;
  };
  const auto complete_or_give_up = [&]() -> Status {
    LONGSTRIDE_ASSIGN_OR_RETURN(const bool completed, complete_now());
    if (!completed) saver_->DiscardPending(rank);
    return {};
  };
  if (saver_->pending()) {
    if (std::ranges::all_of(exchange.slots, [](const RankSlot& s) { return s.saved; })) {
      LONGSTRIDE_RETURN_IF_ERROR(saver_->CommitPending(rank));
    } else if (due) {
      LONGSTRIDE_RETURN_IF_ERROR(complete_or_give_up());
    }
  }
  if (!due) return {};
  context.checkpoint_overdue = false;
  report.checkpointed = true;
  LONGSTRIDE_RETURN_IF_ERROR(saver_->Save(replica_, state_, settings, context.generation));
  if (!last) return leaving ? complete_or_give_up() : Status();
  // Nobody is done before the lowest rank has published it: it may still fail, or be lost.
  LONGSTRIDE_ASSIGN_OR_RETURN(bool completed, complete_now());
  if (completed) {
    LONGSTRIDE_ASSIGN_OR_RETURN(completed, AwaitDisks(context.collective));
  }
  if (completed) return {};
  LONGSTRIDE_RETURN_IF_ERROR(saver_->Finish());
  return LostPeerError("another worker's disk did not take the last checkpoint");
}

#define LONGSTRIDE_INSTANTIATE(T)                                                                 \
  template Status RoundEngine<T>::FinishBoundary(Context&, const RoundSettings&, const Exchange&, \
                                                 bool, Stopwatch&, RoundReport&);                 \
  template Status RoundEngine<T>::Evaluate(Context&, const RoundSettings&, RoundReport&);         \
  template Status RoundEngine<T>::Checkpoint(Context&, const RoundSettings&, const Exchange&,     \
                                             bool, RoundReport&);                                 \
  template Status RoundEngine<T>::RecoverCheckpoints(const GenerationId&);                        \
  template Result<bool> RoundEngine<T>::AwaitDisks(Collective&);
LONGSTRIDE_INSTANTIATE(float)
LONGSTRIDE_INSTANTIATE(double)
#undef LONGSTRIDE_INSTANTIATE

}  // namespace longstride
