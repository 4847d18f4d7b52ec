// Generations: how one ends and the next is formed.
#include <algorithm>

#include "controller/coordinator/coordinator.h"
#include "controller/coordinator/worker_names.h"
#include "core/base/format.h"
#include "core/protocol/backend.h"

namespace longstride {
namespace {

// When every worker was lost, the first that comes back waits this long for the others.
constexpr Duration kRestartWait = std::chrono::seconds(30);

}  // namespace

void Coordinator::AskMembersToReform(const std::string& reason) {
  if (reform_ || broken_ || !Any(Phase::kMember)) return;
  reform_ = true;
  over_reason_ = reason;
}

void Coordinator::BreakGeneration(const std::string& reason) {
  if (broken_ || generation_id_.counter == 0) return;
  broken_ = true;
  broken_since_ = last_tick_;
  over_reason_ = reason;
  Emit(GenerationOverEvent{generation_id_, reason});
}

void Coordinator::Detach(Worker& worker, const GenerationRequest& request, TimePoint now) {
  if (!Any(Phase::kDetached)) detached_since_ = now;
  worker.phase = Phase::kDetached;
  worker.round = request.round;
  if (!reform_) BreakGeneration(NameOf(PlaceOf(request.worker)) + ": " + request.reason);
  FormGeneration();
}

// A member that joined and lost its peers before it got their state holds nothing yet. Who has
// trained holds the state, even if the last committed round went down with the only one who had it.
bool Coordinator::HoldsState(const Worker& worker) const {
  return worker.phase == Phase::kDetached &&
         (worker.round > worker.join.round ||
          (worker.round >= ledger_.round() && (ledger_.known() || !options_.takeover)));
}

// It is not wanted any more, and not needed to hand on the state: one who stays has it, or is in a
// generation with it.
bool Coordinator::MayGo(const Worker& worker) const {
  if (!worker.released) return false;
  if (worker.leaving || !HoldsState(worker)) return true;
  return std::ranges::any_of(workers_, [this](const auto& w) {
    const Worker& other = w.second;
    return other.present() && !other.released &&
           (other.phase == Phase::kMember || HoldsState(other));
  });
}

void Coordinator::FormGeneration() {
  if (end_ || completed_ || !settled_ || Any(Phase::kMember)) return;
  std::vector<Worker*> members;  // in the order of ranks
  bool survivors = false;
  for (auto& [place, worker] : workers_) {
    if (!worker.present() || MayGo(worker)) continue;
    members.push_back(&worker);
    survivors = survivors || HoldsState(worker);
  }
  const auto count = static_cast<int64_t>(members.size());
  const int64_t least = BoundsOf(options_.job.spec).least;
  if (stop_reason_ && (!survivors || count < least)) {
    End(JobOutcome::kStopped, ErrorCode::kInterrupted, *stop_reason_);
    return;
  }
  if (!survivors && count < replicas_) {
    const bool start = generation_id_.counter == 0 && !options_.takeover;
    if (start && !options_.start_wait) return;
    if (count == 0) {  // the wait begins with the first who is there
      restart_deadline_.reset();
      return;
    }
    if (!restart_deadline_)
      restart_deadline_ = last_tick_ + (start ? *options_.start_wait : kRestartWait);
    if (last_tick_ < *restart_deadline_) return;
  }
  if (count < least) {
    if (!waiting_) Emit(WaitingEvent{count, least});
    waiting_ = true;
    return;
  }
  Form(members);
}

void Coordinator::Form(const std::vector<Worker*>& members) {
  int64_t trained_round = -1, survivors_round = -1, joiners_round = 0;
  std::vector<JoinRequest> joins;
  std::vector<WorkerProfile> profiles;
  for (const Worker* worker : members) {
    joins.push_back(worker->join);
    profiles.push_back(worker->join.profile);
    if (HoldsState(*worker)) survivors_round = std::max(survivors_round, worker->round);
    // Who has only read a checkpoint has no say among those who have trained since they joined.
    if (HoldsState(*worker) && worker->round > worker->join.round)
      trained_round = std::max(trained_round, worker->round);
    joiners_round = std::max({joiners_round, worker->join.round, worker->round});
  }
  if (trained_round >= 0) survivors_round = trained_round;
  const int64_t round = survivors_round >= 0 ? survivors_round : joiners_round;
  if (generation_id_.counter > 0 && !CommitAll(ledger_.Close(round))) return;
  // What was written beyond belongs to a history that is given up; others take its place.
  checkpoint_ = std::min(checkpoint_, round);
  if (generation_id_.counter > 0 && !broken_) BreakGeneration(over_reason_);

  const auto newest = [this] {
    return planner_.plans().empty() ? 0 : planner_.plans().back().version;
  };
  const int64_t version_before = newest();
  if (const Status begun = planner_.Begin(joins, round + 1); !begun.ok()) {
    End(JobOutcome::kFailed, begun.error().code, begun.error().message);
    return;
  }
  const bool replayed = version_before > 0 && newest() == version_before;
  for (const Plan& plan : planner_.plans()) {
    std::optional<PlanPrediction> prediction;
    if (!replayed) {
      const auto predicted =
          Predict(options_.job.spec, plan, options_.job.spec.training.batch.initial, 0);
      if (predicted.ok()) prediction = *predicted;
    }
    Emit(PlanIssuedEvent{plan, prediction,
                         replayed ? "recorded history" : "profiles of the members"});
  }
  if (options_.mode == CoordinatorMode::kPlanOnly) {
    End(JobOutcome::kPlanned, ErrorCode::kInterrupted, "the plan is made");
    return;
  }
  generation_id_ = {options_.term,
                    generation_id_.term == options_.term ? generation_id_.counter + 1 : 1};
  store_.Clear();
  backend_ = ChooseBackend(profiles);
  members_.clear();
  for (Worker* worker : members) {
    worker->phase = Phase::kMember;
    worker->silent.clear();
    worker->generation = generation_id_;
    worker->rank = static_cast<int64_t>(members_.size());
    members_.push_back({worker->join.worker, worker->join.address, worker->join.tether_port});
  }
  reform_ = broken_ = waiting_ = false;
  restart_deadline_.reset();
  ledger_.Begin(static_cast<int64_t>(members_.size()));
  Emit(GenerationFormedEvent{generation_id_, members_, backend_});
  if (std::ranges::any_of(members, &Worker::released))
    AskMembersToReform("workers that are not wanted hand on the state first");
}

std::optional<GenerationReply> Coordinator::PollGeneration(const GenerationRequest& request,
                                                           TimePoint now) {
  GenerationReply reply;
  Worker* worker = end_ ? nullptr : Find(request.worker);
  if (worker && worker->phase == Phase::kMember && request.after == generation_id_) {
    worker->last_seen = now;
    Detach(*worker, request, now);
  }
  if (end_) {
    reply.state = MemberState::kEnded;
    reply.failed = end_->outcome == JobOutcome::kFailed;
    reply.reason = end_->reason;
    return reply;
  }
  if (!worker) {
    reply.state = IsUnknown(request.worker) ? MemberState::kUnknown : MemberState::kFenced;
    reply.reason = NotFound(request.worker).message;
    return reply;
  }
  if (worker->phase == Phase::kMember && request.after < generation_id_) {
    reply.state = MemberState::kTraining;
    reply.generation =
        Generation{generation_id_, RankOf(request.worker), members_, backend_, planner_.plans()};
    return reply;
  }
  if (worker->phase != Phase::kMember && (MayGo(*worker) || completed_)) {
    worker->leaving = worker->released = true;  // it goes, even if it is wanted again by then
    reply.state = MemberState::kEnded;
    reply.reason = completed_ ? "the job is complete"
                              : Format("the job was scaled down to %lld workers",
                                       static_cast<long long>(replicas_));
    return reply;
  }
  return std::nullopt;
}

}  // namespace longstride
