#include "controller/coordinator/coordinator.h"

#include <algorithm>

#include "core/base/format.h"
#include "core/protocol/backend.h"

namespace longstride {
namespace {

// Longer between two ticks means that this process was held up, and with it perhaps the heartbeats.
constexpr Duration kHeldUp = std::chrono::milliseconds(1000);

std::string NameOf(const WorkerId& id) {
  return Format("worker %s-%lld", id.group.c_str(), static_cast<long long>(id.index));
}

ErrorCode CodeOfExit(int exit_code) {
  for (const ErrorCode code :
       {ErrorCode::kUser, ErrorCode::kData, ErrorCode::kResource, ErrorCode::kLostPeer,
        ErrorCode::kTransient, ErrorCode::kInterrupted, ErrorCode::kBug}) {
    if (ExitCodeOf(code) == exit_code) return code;
  }
  return ErrorCode::kLostPeer;  // a signal, or a code that is not ours
}

bool IsGoodExit(int exit_code) {
  return exit_code == 0 || exit_code == ExitCodeOf(ErrorCode::kInterrupted);
}

bool BlamesAnother(int exit_code) {
  return exit_code == ExitCodeOf(ErrorCode::kLostPeer) ||
         exit_code == ExitCodeOf(ErrorCode::kTransient);
}

Error FencedError() {
  return LostPeerError(
      "this generation is over, or another incarnation of the worker has taken its place");
}

}  // namespace

Coordinator::Coordinator(CoordinatorOptions options, TimePoint now)
    : options_(std::move(options)),
      planner_(options_.job.spec, options_.recorded_plans, options_.recorded_rounds),
      generation_id_{options_.term, 0},
      started_(now),
      last_tick_(now),
      grace_until_(now + options_.heartbeat_limit + options_.reconnect_grace) {}

const Coordinator::Worker* Coordinator::Find(const WorkerId& id) const {
  const auto it = workers_.find({id.group, id.index});
  return it != workers_.end() && it->second.join.worker == id ? &it->second : nullptr;
}

int64_t Coordinator::RankOf(const WorkerId& id) const {
  const auto it = std::find_if(members_.begin(), members_.end(),
                               [&](const Member& member) { return member.worker == id; });
  return it == members_.end() ? -1 : it - members_.begin();
}

Status Coordinator::Admit(const JoinRequest& request) const {
  if (request.protocol != kProtocolVersion) {
    return UserError(
        Format("the worker speaks protocol %d, the coordinator %d: run the same release of "
               "longstride on both sides",
               request.protocol, kProtocolVersion));
  }
  const TrainingJobSpec& spec = options_.job.spec;
  const WorkerId& id = request.worker;
  const auto group = std::find_if(spec.workers.begin(), spec.workers.end(),
                                  [&](const WorkerGroup& g) { return g.name == id.group; });
  if (group == spec.workers.end()) {
    return UserError(Format("job %s has no worker group \"%s\"", options_.job.metadata.name.c_str(),
                            id.group.c_str()));
  }
  const int64_t places = std::min(group->max_replicas, spec.replicas);
  if (id.index < 0 || id.index >= places) {
    return UserError(Format("index %lld is out of range: group %s has places 0 to %lld",
                            static_cast<long long>(id.index), id.group.c_str(),
                            static_cast<long long>(places - 1)));
  }
  if (!workers_.contains({id.group, id.index}) &&
      static_cast<int64_t>(workers_.size()) >= spec.replicas) {
    return UserError(Format("all %lld replicas of the job have joined already",
                            static_cast<long long>(spec.replicas)));
  }
  return {};
}

Status Coordinator::Join(const JoinRequest& request, TimePoint now) {
  LONGSTRIDE_RETURN_IF_ERROR(Admit(request));
  if (end_) {
    const ErrorCode code =
        end_->outcome == JobOutcome::kFailed ? end_->code : ErrorCode::kInterrupted;
    return Error{code, "the job has ended: " + end_->reason};
  }
  const Place place{request.worker.group, request.worker.index};
  const auto it = workers_.find(place);
  if (it != workers_.end()) {
    Worker& present = it->second;
    if (present.join.worker == request.worker) {  // sent again: the first answer was lost
      present.last_seen = now;
      return {};
    }
    if (RankOf(present.join.worker) >= 0) {
      Lose(present, ErrorCode::kLostPeer, "it was started anew");
      return Error{end_->code, "the job has ended: " + end_->reason};
    }
  }
  workers_[place] = Worker{.join = request, .phase = Phase::kJoined, .last_seen = now};
  Emit(JoinedEvent{request});
  FormGenerationIfComplete();
  return {};
}

void Coordinator::FormGenerationIfComplete() {
  if (end_ || !members_.empty()) return;
  if (static_cast<int64_t>(workers_.size()) < options_.job.spec.replicas) return;
  std::vector<JoinRequest> joins;
  std::vector<WorkerProfile> profiles;
  int64_t round = 0;
  for (const auto& [place, worker] : workers_) {  // in the order of ranks
    if (worker.phase != Phase::kJoined) return;
    joins.push_back(worker.join);
    profiles.push_back(worker.join.profile);
    round = std::max(round, worker.join.round);
  }
  const size_t recorded = planner_.plans().size();
  if (const Status begun = planner_.Begin(joins, round + 1); !begun.ok()) {
    End(JobOutcome::kFailed, begun.error().code, begun.error().message);
    return;
  }
  const std::vector<Plan>& plans = planner_.plans();
  const bool replayed = recorded > 0 && plans.size() == recorded;
  for (const Plan& plan : plans) {
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
  ++generation_id_.counter;
  store_.Clear();
  backend_ = ChooseBackend(profiles);
  for (auto& [place, worker] : workers_) {
    worker.phase = Phase::kMember;
    members_.push_back({worker.join.worker, worker.join.address});
  }
  ledger_.Begin(static_cast<int64_t>(members_.size()));
  Emit(GenerationFormedEvent{generation_id_, members_, backend_});
}

std::optional<GenerationReply> Coordinator::PollGeneration(const GenerationRequest& request) const {
  GenerationReply reply;
  if (end_) {
    reply.state = MemberState::kEnded;
    reply.failed = end_->outcome == JobOutcome::kFailed;
    reply.reason = end_->reason;
    return reply;
  }
  if (!Find(request.worker)) {
    reply.state = MemberState::kFenced;
    reply.reason = FencedError().message;
    return reply;
  }
  const int64_t rank = RankOf(request.worker);
  if (rank < 0 || generation_id_ <= request.after) return std::nullopt;
  reply.state = MemberState::kTraining;
  reply.generation = Generation{generation_id_, rank, members_, backend_, planner_.plans()};
  return reply;
}

HeartbeatReply Coordinator::Heartbeat(const HeartbeatRequest& request, TimePoint now) {
  HeartbeatReply reply;
  reply.stop = stop_reason_.has_value();
  reply.stop_reason = stop_reason_.value_or("");
  const auto it = workers_.find({request.worker.group, request.worker.index});
  const bool known = it != workers_.end() && it->second.join.worker == request.worker;
  if (known) it->second.last_seen = now;
  if (end_) {
    reply.state = MemberState::kEnded;
    reply.reason = end_->reason;
  } else if (!known) {
    reply.state = MemberState::kFenced;
    reply.reason = FencedError().message;
  } else if (RankOf(request.worker) < 0) {
    reply.state = MemberState::kWaiting;
  } else if (request.generation < generation_id_ && request.generation.counter > 0) {
    reply.state = MemberState::kReform;
    reply.reason = "a newer generation has been formed";
  } else {
    reply.state = MemberState::kTraining;
  }
  return reply;
}

Result<RoundReply> Coordinator::Report(const ReportRequest& request, TimePoint now) {
  RoundReply reply;
  const int64_t rank = RankOf(request.worker);
  if (!end_) {
    if (rank < 0 || request.report.generation != generation_id_) return FencedError();
    if (rank != request.report.rank) {
      return UserError(Format("rank: %s has rank %lld", NameOf(request.worker).c_str(),
                              static_cast<long long>(rank)));
    }
    workers_[{request.worker.group, request.worker.index}].last_seen = now;
    auto complete = ledger_.Add(request.report);
    if (!complete.ok() && complete.error().code != ErrorCode::kBug) return complete.error();
    if (!complete.ok()) {
      End(JobOutcome::kFailed, ErrorCode::kBug, complete.error().message);
    } else {
      for (auto& reports : *complete) Commit(std::move(reports));
    }
  }
  for (const Plan& plan : planner_.plans()) {
    if (plan.version > request.report.plan_version) reply.plans.push_back(plan);
  }
  reply.stop = stop_reason_.has_value() || end_.has_value();
  reply.stop_reason = end_ ? end_->reason : stop_reason_.value_or("");
  return reply;
}

void Coordinator::Commit(std::vector<RoundReport> reports) {
  RoundRecord record;
  for (const Member& member : members_) record.workers.push_back(member.worker);
  record.reports = std::move(reports);
  const RoundReport common = record.common();
  Emit(RoundCommittedEvent{record});
  if (common.evaluation_loss || common.evaluation_accuracy) {
    Emit(EvaluationEvent{common.round, common.cursor_end, common.evaluation_loss,
                         common.evaluation_accuracy, common.target_reached});
  }
  if (common.checkpointed) Emit(CheckpointEvent{common.round, common.cursor_end});
  if (const std::optional<Plan> plan = planner_.Observe(record)) {
    const auto predicted =
        Predict(options_.job.spec, *plan, common.next_global_batch, common.cursor_end);
    Emit(PlanIssuedEvent{*plan, predicted.ok() ? std::optional(*predicted) : std::nullopt,
                         "measured step and synchronization times"});
  }
}

Status Coordinator::Leave(const LeaveRequest& request, TimePoint now) {
  const auto it = workers_.find({request.worker.group, request.worker.index});
  if (it == workers_.end() || it->second.join.worker != request.worker) return FencedError();
  Depart(it->second, request.exit_code, request.reason, now);
  return {};
}

void Coordinator::WorkerExited(const std::string& group, int64_t index, int exit_code,
                               const std::string& detail, TimePoint now) {
  const auto it = workers_.find({group, index});
  if (it != workers_.end()) {
    Depart(it->second, exit_code, detail, now);
  } else if (!end_ && IsGoodExit(exit_code)) {
    End(JobOutcome::kStopped, ErrorCode::kInterrupted,
        NameOf({group, index, ""}) + " left before it joined: " + detail);
  } else if (!end_) {
    End(JobOutcome::kFailed, CodeOfExit(exit_code),
        NameOf({group, index, ""}) + " failed before it joined: " + detail);
  }
}

void Coordinator::Depart(Worker& worker, int exit_code, const std::string& reason, TimePoint now) {
  if (worker.phase == Phase::kLeft || worker.phase == Phase::kLost) return;
  const bool member = worker.phase == Phase::kMember;
  const std::string name = NameOf(worker.join.worker);
  if (IsGoodExit(exit_code) || end_) {
    worker.phase = Phase::kLeft;
    worker.exit_code = exit_code;
    Emit(WorkerLeftEvent{worker.join.worker, exit_code, reason});
    if (end_) return;
    if (member) {
      CompleteIfAllLeft();
    } else {
      End(JobOutcome::kStopped, ErrorCode::kInterrupted,
          stop_reason_.value_or(name + " left before training began: " + reason));
    }
  } else if (member && BlamesAnother(exit_code)) {
    // Its peer's death explains it. Wait until that death is known, so that the reason names the
    // cause.
    worker.phase = Phase::kLeft;
    worker.exit_code = exit_code;
    Emit(WorkerLeftEvent{worker.join.worker, exit_code, reason});
    if (!suspicion_) {
      suspicion_ =
          Suspicion{now + options_.heartbeat_limit + options_.heartbeat_limit / 5,
                    {JobOutcome::kFailed, CodeOfExit(exit_code), name + " gave up: " + reason}};
    }
  } else {
    Lose(worker, CodeOfExit(exit_code), reason);
  }
}

void Coordinator::CompleteIfAllLeft() {
  bool stopped = false;
  for (const auto& [place, worker] : workers_) {
    if (worker.phase != Phase::kLeft || !IsGoodExit(worker.exit_code)) return;
    stopped = stopped || worker.exit_code != 0;
  }
  if (stopped) {
    End(JobOutcome::kStopped, ErrorCode::kInterrupted,
        stop_reason_.value_or("the workers were interrupted"));
  } else {
    End(JobOutcome::kCompleted, ErrorCode::kInterrupted, "all workers completed");
  }
}

void Coordinator::Lose(Worker& worker, ErrorCode code, const std::string& reason) {
  worker.phase = Phase::kLost;
  Emit(WorkerLostEvent{worker.join.worker, reason});
  const std::string when =
      generation_id_.counter == 0
          ? std::string("before training began")
          : Format("after round %lld", static_cast<long long>(ledger_.round()));
  End(JobOutcome::kFailed, code,
      Format("%s was lost %s: %s", NameOf(worker.join.worker).c_str(), when.c_str(),
             reason.c_str()));
}

void Coordinator::End(JobOutcome outcome, ErrorCode code, const std::string& reason) {
  if (end_) return;
  end_ = JobEnd{outcome, code, reason};
  Emit(EndedEvent{*end_});
}

Status Coordinator::StoreSet(const StoreSetRequest& request) {
  if (end_ || request.generation != generation_id_ || members_.empty()) return FencedError();
  return store_.Set(request.key, request.value);
}

Result<std::optional<StoreReply>> Coordinator::StoreRead(const StoreReadRequest& request,
                                                         bool now_or_never) const {
  if (end_ || request.generation != generation_id_ || members_.empty()) return FencedError();
  if (!now_or_never && store_.size() < request.count) return std::optional<StoreReply>();
  return std::optional<StoreReply>(store_.Contents());
}

void Coordinator::RequestStop(const std::string& reason) {
  if (stop_reason_ || end_) return;
  stop_reason_ = reason;
  Emit(StopRequestedEvent{reason});
  if (members_.empty()) End(JobOutcome::kStopped, ErrorCode::kInterrupted, reason);
}

void Coordinator::Tick(TimePoint now) {
  if (now - last_tick_ > kHeldUp) {
    grace_until_ =
        std::max(grace_until_, now + options_.heartbeat_limit + options_.reconnect_grace);
    if (suspicion_) suspicion_->until = std::max(suspicion_->until, grace_until_);
  }
  last_tick_ = now;
  const int64_t deadline = options_.job.spec.run_policy.active_deadline_seconds;
  if (deadline > 0 && now - started_ >= std::chrono::seconds(deadline)) {
    RequestStop(Format("runPolicy.activeDeadlineSeconds (%lld) have passed",
                       static_cast<long long>(deadline)));
  }
  for (auto& [place, worker] : workers_) {
    const bool present = worker.phase == Phase::kJoined || worker.phase == Phase::kMember;
    if (!present || now < grace_until_ || now - worker.last_seen <= options_.heartbeat_limit)
      continue;
    Lose(worker, ErrorCode::kLostPeer,
         Format("no heartbeat for %s", FormatSeconds(ToSeconds(now - worker.last_seen)).c_str()));
  }
  if (suspicion_ && now >= suspicion_->until) {
    End(suspicion_->end.outcome, suspicion_->end.code, suspicion_->end.reason);
  }
}

bool Coordinator::quiet() const {
  return std::all_of(workers_.begin(), workers_.end(), [](const auto& entry) {
    return entry.second.phase == Phase::kLeft || entry.second.phase == Phase::kLost;
  });
}

}  // namespace longstride
