#include "controller/coordinator/coordinator.h"

#include <algorithm>
#include <iterator>

#include "core/base/format.h"
#include "core/protocol/backend.h"

namespace longstride {
namespace {

// Longer between two ticks means that this process was held up, and with it perhaps the heartbeats.
constexpr Duration kHeldUp = std::chrono::milliseconds(1000);
// When every worker was lost, those that come back wait this long for the others.
constexpr Duration kRestartWait = std::chrono::seconds(30);
// On top of ten rounds, for a member to leave a generation that is over: it may be in its local
// steps.
constexpr Duration kStuck = std::chrono::seconds(60);

std::string NameOf(const WorkerPlace& place) {
  return "worker " + place.Name();
}

WorkerPlace PlaceOf(const WorkerId& id) {
  return {id.group, id.index};
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

// A worker that is started anew would fail in the same way.
bool Recurs(ErrorCode code) {
  return code != ErrorCode::kLostPeer && code != ErrorCode::kTransient;
}

Error FencedError() {
  return LostPeerError(
      "this worker was given up for lost, or another incarnation of it has taken its place");
}

}  // namespace

Coordinator::Coordinator(CoordinatorOptions options, TimePoint now)
    : options_(std::move(options)),
      replicas_(options_.job.spec.replicas),
      planner_(options_.job.spec, options_.recorded_plans, options_.recorded_rounds),
      generation_id_{options_.term, 0},
      started_(now),
      last_tick_(now),
      grace_until_(now + options_.heartbeat_limit + options_.reconnect_grace) {}

Coordinator::Worker* Coordinator::Find(const WorkerId& id) {
  const auto it = workers_.find(PlaceOf(id));
  const bool found = it != workers_.end() && it->second.join.worker == id && it->second.present();
  return found ? &it->second : nullptr;
}

int64_t Coordinator::RankOf(const WorkerId& id) const {
  const auto it = std::find_if(members_.begin(), members_.end(),
                               [&](const Member& member) { return member.worker == id; });
  return it == members_.end() ? -1 : it - members_.begin();
}

int64_t Coordinator::CountPresent() const {
  return std::ranges::count_if(workers_, [](const auto& w) { return w.second.present(); });
}

bool Coordinator::Any(Phase phase) const {
  return std::ranges::any_of(workers_, [=](const auto& w) { return w.second.phase == phase; });
}

std::vector<WorkerPlace> Coordinator::wanted() const {
  TrainingJobSpec spec = options_.job.spec;
  spec.replicas = replicas_;
  return DealReplicas(spec);
}

Status Coordinator::Admit(const JoinRequest& request) const {
  if (request.protocol != kProtocolVersion) {
    return UserError(
        Format("the worker speaks protocol %d, the coordinator %d: run the same release of "
               "longstride on both sides",
               request.protocol, kProtocolVersion));
  }
  const std::vector<WorkerGroup>& groups = options_.job.spec.workers;
  const WorkerId& id = request.worker;
  if (std::ranges::none_of(groups, [&](const WorkerGroup& g) { return g.name == id.group; })) {
    return UserError(Format("job %s has no worker group \"%s\"", options_.job.metadata.name.c_str(),
                            id.group.c_str()));
  }
  const std::vector<WorkerPlace> places = wanted();
  if (std::ranges::find(places, PlaceOf(id)) != places.end()) return {};
  const auto of_group =
      std::ranges::count_if(places, [&](const WorkerPlace& p) { return p.group == id.group; });
  return UserError(
      Format("index %lld is out of range: with %lld replicas, group %s has places 0 "
             "to %lld",
             static_cast<long long>(id.index), static_cast<long long>(replicas_), id.group.c_str(),
             static_cast<long long>(of_group) - 1));
}

Status Coordinator::Join(const JoinRequest& request, TimePoint now) {
  LONGSTRIDE_RETURN_IF_ERROR(Admit(request));
  const auto ended = [this] {
    const ErrorCode code =
        end_->outcome == JobOutcome::kFailed ? end_->code : ErrorCode::kInterrupted;
    return Error{code, "the job has ended: " + end_->reason};
  };
  if (end_) return ended();
  if (stop_reason_ || completed_)
    return InterruptedError("the job is ending: " + stop_reason_.value_or("it is complete"));
  const WorkerPlace place = PlaceOf(request.worker);
  if (const auto it = workers_.find(place); it != workers_.end()) {
    Worker& before = it->second;
    if (before.join.worker == request.worker) {  // sent again: the first answer was lost
      if (!before.present()) return FencedError();
      before.last_seen = now;
      return {};
    }
    if (before.present()) Lose(before, ErrorCode::kLostPeer, "it was started anew");
    if (end_) return ended();
  }
  Worker worker;
  worker.join = request;
  WorkerProfile& profile = worker.join.profile;
  profile.micro_batch_cap =
      std::min(profile.micro_batch_cap, MicroBatchLimit(place).value_or(INT64_MAX));
  worker.last_seen = now;
  Emit(JoinedEvent{worker.join});
  workers_[place] = std::move(worker);
  if (generation_id_.counter > 0) AskMembersToReform(NameOf(place) + " joins");
  FormGeneration();
  return {};
}

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
         (worker.round > worker.join.round || worker.round >= ledger_.round());
}

void Coordinator::FormGeneration() {
  if (end_ || completed_ || Any(Phase::kMember)) return;
  std::vector<Worker*> members;  // in the order of ranks
  bool survivors = false;
  for (auto& [place, worker] : workers_) {
    if (!worker.present() || worker.released) continue;
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
    if (generation_id_.counter == 0) return;
    if (!restart_deadline_) restart_deadline_ = last_tick_ + kRestartWait;
    if (count == 0 || last_tick_ < *restart_deadline_) return;
  }
  if (count < least) {
    if (!waiting_) Emit(WaitingEvent{count, least});
    waiting_ = true;
    return;
  }
  Form(members);
}

void Coordinator::Form(const std::vector<Worker*>& members) {
  int64_t survivors_round = -1, joiners_round = 0;
  std::vector<JoinRequest> joins;
  std::vector<WorkerProfile> profiles;
  for (const Worker* worker : members) {
    joins.push_back(worker->join);
    profiles.push_back(worker->join.profile);
    if (HoldsState(*worker)) survivors_round = std::max(survivors_round, worker->round);
    joiners_round = std::max({joiners_round, worker->join.round, worker->round});
  }
  const int64_t round = survivors_round >= 0 ? survivors_round : joiners_round;
  if (generation_id_.counter > 0 && !CommitAll(ledger_.Close(round))) return;
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
  ++generation_id_.counter;
  store_.Clear();
  backend_ = ChooseBackend(profiles);
  members_.clear();
  for (Worker* worker : members) {
    worker->phase = Phase::kMember;
    members_.push_back({worker->join.worker, worker->join.address});
  }
  reform_ = broken_ = waiting_ = false;
  restart_deadline_.reset();
  ledger_.Begin(static_cast<int64_t>(members_.size()));
  Emit(GenerationFormedEvent{generation_id_, members_, backend_});
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
    reply.state = MemberState::kFenced;
    reply.reason = FencedError().message;
    return reply;
  }
  if (worker->phase == Phase::kMember && request.after < generation_id_) {
    reply.state = MemberState::kTraining;
    reply.generation =
        Generation{generation_id_, RankOf(request.worker), members_, backend_, planner_.plans()};
    return reply;
  }
  if (worker->phase != Phase::kMember && (worker->released || completed_)) {
    reply.state = MemberState::kEnded;
    reply.reason = completed_ ? "the job is complete"
                              : Format("the job was scaled down to %lld workers",
                                       static_cast<long long>(replicas_));
    return reply;
  }
  return std::nullopt;
}

HeartbeatReply Coordinator::Heartbeat(const HeartbeatRequest& request, TimePoint now) {
  HeartbeatReply reply;
  reply.stop = stop_reason_.has_value();
  reply.stop_reason = stop_reason_.value_or("");
  Worker* worker = Find(request.worker);
  if (worker) worker->last_seen = now;
  if (worker && worker->phase == Phase::kMember && request.broken &&
      request.generation == generation_id_ && !end_) {
    BreakGeneration(NameOf(PlaceOf(request.worker)) + " has lost a peer");
  }
  if (end_) {
    reply.state = MemberState::kEnded;
    reply.reason = end_->reason;
  } else if (!worker) {
    reply.state = MemberState::kFenced;
    reply.reason = FencedError().message;
  } else if (worker->phase != Phase::kMember) {
    reply.state = MemberState::kWaiting;
  } else if (broken_ || (request.generation < generation_id_ && request.generation.counter > 0)) {
    reply.state = MemberState::kReform;
    reply.reason = broken_ ? over_reason_ : "a newer generation has been formed";
  } else {
    reply.state = MemberState::kTraining;
    reply.reform = reform_;
  }
  return reply;
}

Status Coordinator::Report(const ReportRequest& request, TimePoint now) {
  if (end_) return {};
  Worker* worker = Find(request.worker);
  const int64_t rank = RankOf(request.worker);
  if (!worker || rank < 0 || request.report.generation != generation_id_) return FencedError();
  if (rank != request.report.rank) {
    return UserError(Format("rank: %s has rank %lld", NameOf(PlaceOf(request.worker)).c_str(),
                            static_cast<long long>(rank)));
  }
  worker->last_seen = now;
  auto complete = ledger_.Add(request.report);
  if (!complete.ok() && complete.error().code != ErrorCode::kBug) return complete.error();
  CommitAll(std::move(complete));
  return {};
}

bool Coordinator::CommitAll(Result<RoundLedger::Rounds> rounds) {
  if (!rounds.ok()) {
    End(JobOutcome::kFailed, rounds.error().code, rounds.error().message);
    return false;
  }
  for (auto& reports : *rounds) Commit(std::move(reports));
  return true;
}

std::optional<RoundReply> Coordinator::ReplyTo(const RoundReport& report, bool now_or_never) const {
  const bool open = report.generation == generation_id_ && !broken_ && !end_;
  if (!now_or_never && open && ledger_.round() < report.round) return std::nullopt;
  RoundReply reply;
  if (report.generation == generation_id_) {
    for (const Plan& plan : planner_.plans()) {
      if (plan.version > report.plan_version) reply.plans.push_back(plan);
    }
    reply.reform = reform_;
  }
  reply.stop = stop_reason_.has_value() || end_.has_value();
  reply.stop_reason = end_ ? end_->reason : stop_reason_.value_or("");
  return reply;
}

void Coordinator::Commit(std::vector<RoundReport> reports) {
  RoundRecord record;
  for (const RoundReport& report : reports) {
    record.workers.push_back(members_[static_cast<size_t>(report.rank)].worker);
    NoteMicroBatch(PlaceOf(record.workers.back()), report);
  }
  record.reports = std::move(reports);
  const RoundReport common = record.common();
  round_seconds_ = common.wall_seconds;
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

Status Coordinator::Leave(const LeaveRequest& request, TimePoint) {
  Worker* worker = Find(request.worker);
  if (!worker) return FencedError();
  if (request.exit_code == 0 && worker->phase == Phase::kMember)
    completed_round_ = std::max(completed_round_, request.round);
  Depart(*worker, request.exit_code, request.reason);
  return {};
}

std::optional<int64_t> Coordinator::MicroBatchLimit(const WorkerPlace& place) const {
  const auto it = memory_.find(place);
  return it == memory_.end() ? std::nullopt : it->second.limit;
}

void Coordinator::NoteMicroBatch(const WorkerPlace& place, const RoundReport& report) {
  const auto worker = workers_.find(place);
  if (!report.micro_batch_cap || worker == workers_.end()) return;
  MemoryFindings& findings = memory_[place];
  const int64_t cap = *report.micro_batch_cap;
  findings.micro_batch = std::min(cap, std::max<int64_t>(1, report.local_batch));
  if (cap < std::min(worker->second.join.profile.micro_batch_cap, findings.limit.value_or(cap + 1)))
    findings.limit = cap;
}

bool Coordinator::HalveMicroBatch(const WorkerPlace& place) {
  MemoryFindings& findings = memory_[place];
  // Killed before its first report it may have been profiling, or in a round with its share of B.
  int64_t taken = findings.micro_batch;
  if (taken == 0) taken = std::max<int64_t>(1, options_.job.spec.training.batch.initial);
  taken = std::min(taken, findings.limit.value_or(taken));
  if (taken == 1) return false;
  findings.limit = findings.micro_batch = taken / 2;
  return true;
}

void Coordinator::WorkerExited(const std::string& group, int64_t index, int exit_code,
                               const std::string& exit_text, bool had_joined, TimePoint,
                               bool out_of_memory) {
  const WorkerPlace place{group, index};
  std::string detail = exit_text;
  if (out_of_memory && HalveMicroBatch(place)) {
    detail += Format(
        " for want of memory; its next incarnation takes micro-batches of at most %lld samples",
        static_cast<long long>(*MicroBatchLimit(place)));
  } else if (out_of_memory) {
    exit_code = ExitCodeOf(ErrorCode::kResource);
    detail +=
        " for want of memory at micro-batches of one sample: use a smaller model, fewer workers on "
        "the machine, or raise the container's memory limit";
  }
  const auto it = workers_.find(place);
  if (had_joined) {
    if (it != workers_.end() && it->second.present()) Depart(it->second, exit_code, detail);
    return;
  }
  const std::vector<WorkerPlace> places = wanted();
  const bool is_wanted = std::ranges::find(places, place) != places.end();
  if (end_ || completed_ || stop_reason_ || !is_wanted) return;
  if (IsGoodExit(exit_code)) {
    if (generation_id_.counter > 0) return;
    End(JobOutcome::kStopped, ErrorCode::kInterrupted,
        NameOf(place) + " left before it joined: " + detail);
    return;
  }
  CountLost(CodeOfExit(exit_code), NameOf(place) + " failed before it joined: " + detail);
}

void Coordinator::Depart(Worker& worker, int exit_code, const std::string& reason) {
  const WorkerPlace place = PlaceOf(worker.join.worker);
  if (!IsGoodExit(exit_code) && !end_) {
    Lose(worker, CodeOfExit(exit_code), reason);
    return;
  }
  const bool member = worker.phase == Phase::kMember;
  worker.phase = Phase::kLeft;
  Emit(WorkerLeftEvent{worker.join.worker, exit_code, reason});
  if (end_) return;
  if (exit_code == 0 && !worker.released) completed_ = completed_ || member;
  // Its generation goes on without it only if it told the others at a round boundary.
  if (member && !completed_ && !stop_reason_) AskMembersToReform(NameOf(place) + " left");
  EndIfAllLeft(exit_code == 0 ? "" : NameOf(place) + " was interrupted");
  FormGeneration();
}

void Coordinator::EndIfAllLeft(const std::string& stopped) {
  const bool trains = Any(Phase::kMember) || Any(Phase::kDetached);
  if (trains || (CountPresent() > 0 && !completed_ && !stop_reason_)) return;
  if (completed_) {
    // What the first to finish had committed is committed, whoever could still report it.
    if (CommitAll(ledger_.Close(std::max(completed_round_, ledger_.round()))))
      End(JobOutcome::kCompleted, ErrorCode::kInterrupted, "all workers completed");
  } else if (stop_reason_ || !stopped.empty()) {
    End(JobOutcome::kStopped, ErrorCode::kInterrupted, stop_reason_.value_or(stopped));
  }
}

void Coordinator::Lose(Worker& worker, ErrorCode code, const std::string& reason) {
  const bool member = worker.phase == Phase::kMember || worker.phase == Phase::kDetached;
  worker.phase = Phase::kLost;
  Emit(WorkerLostEvent{worker.join.worker, reason});
  const std::string when =
      generation_id_.counter == 0
          ? std::string("before training began")
          : Format("after round %lld", static_cast<long long>(ledger_.round()));
  const std::string what = Format("%s was lost %s: %s", NameOf(PlaceOf(worker.join.worker)).c_str(),
                                  when.c_str(), reason.c_str());
  if (completed_ || stop_reason_) {  // it is not needed any more
    if (member) BreakGeneration(what);
    EndIfAllLeft();
    FormGeneration();
    return;
  }
  CountLost(code, what);
  if (end_) return;
  if (member) BreakGeneration(what);
  FormGeneration();
}

void Coordinator::CountLost(ErrorCode code, const std::string& what) {
  ++lost_;
  const int64_t limit = options_.job.spec.run_policy.backoff_limit;
  if (Recurs(code)) {
    End(JobOutcome::kFailed, code, what);
  } else if (lost_ > limit) {
    End(JobOutcome::kFailed, code,
        limit == 0 ? what
                   : Format("%s; runPolicy.backoffLimit allows %lld lost workers", what.c_str(),
                            static_cast<long long>(limit)));
  }
}

void Coordinator::End(JobOutcome outcome, ErrorCode code, const std::string& reason) {
  if (end_) return;
  end_ = JobEnd{outcome, code, reason};
  Emit(EndedEvent{*end_});
}

Status Coordinator::StoreSet(const StoreSetRequest& request) {
  if (end_ || broken_ || request.generation != generation_id_ || members_.empty())
    return FencedError();
  return store_.Set(request.key, request.value);
}

Result<std::optional<StoreReply>> Coordinator::StoreRead(const StoreReadRequest& request,
                                                         bool now_or_never) const {
  if (end_ || broken_ || request.generation != generation_id_ || members_.empty())
    return FencedError();
  if (!now_or_never && store_.size() < request.count) return std::optional<StoreReply>();
  return std::optional<StoreReply>(store_.Contents());
}

Status Coordinator::Scale(int64_t replicas) {
  LONGSTRIDE_RETURN_IF_ERROR(CheckReplicas(options_.job.spec, replicas));
  if (end_) return UserError("the job has ended: " + end_->reason);
  if (replicas == replicas_) return {};
  replicas_ = replicas;
  Emit(ScaledEvent{replicas});
  const std::vector<WorkerPlace> places = wanted();
  bool leaving = false;
  for (auto& [place, worker] : workers_) {
    worker.released = std::ranges::find(places, place) == places.end();
    leaving = leaving || (worker.released && worker.phase == Phase::kMember);
  }
  if (leaving)
    AskMembersToReform(Format("scaled to %lld workers", static_cast<long long>(replicas)));
  FormGeneration();
  return {};
}

void Coordinator::RequestStop(const std::string& reason) {
  if (stop_reason_ || end_) return;
  stop_reason_ = reason;
  Emit(StopRequestedEvent{reason});
  const bool forming = generation_id_.counter > 0 && CountPresent() > 0 && !waiting_;
  if (!Any(Phase::kMember) && !forming) End(JobOutcome::kStopped, ErrorCode::kInterrupted, reason);
}

void Coordinator::Tick(TimePoint now) {
  if (now - last_tick_ > kHeldUp) {
    grace_until_ =
        std::max(grace_until_, now + options_.heartbeat_limit + options_.reconnect_grace);
  }
  last_tick_ = now;
  const int64_t deadline = options_.job.spec.run_policy.active_deadline_seconds;
  if (deadline > 0 && now - started_ >= std::chrono::seconds(deadline)) {
    RequestStop(Format("runPolicy.activeDeadlineSeconds (%lld) have passed",
                       static_cast<long long>(deadline)));
  }
  for (auto& [place, worker] : workers_) {
    if (!worker.present() || now < grace_until_ ||
        now - worker.last_seen <= options_.heartbeat_limit)
      continue;
    Lose(worker, ErrorCode::kLostPeer,
         Format("no heartbeat for %s", FormatSeconds(ToSeconds(now - worker.last_seen)).c_str()));
  }
  // A member that is alive and does not come out of its generation is stuck.
  const Duration patience = kStuck + FromSeconds(10 * round_seconds_);
  if (broken_ && now - broken_since_ > patience) {
    for (auto& [place, worker] : workers_) {
      // Losing the last of them forms the next generation, whose members are not meant.
      if (broken_ && worker.phase == Phase::kMember)
        Lose(worker, ErrorCode::kLostPeer, "it does not leave a generation that is over");
    }
  }
  // Members that should have left in good order with the others, and have not.
  if (reform_ && Any(Phase::kMember) && Any(Phase::kDetached) &&
      now - detached_since_ > options_.heartbeat_limit) {
    BreakGeneration(over_reason_);
  }
  if (restart_deadline_ && now >= *restart_deadline_) FormGeneration();
}

bool Coordinator::quiet() const {
  return CountPresent() == 0;
}

}  // namespace longstride
