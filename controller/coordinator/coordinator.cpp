#include "controller/coordinator/coordinator.h"

#include <algorithm>

#include "controller/coordinator/worker_names.h"
#include "core/base/format.h"

namespace longstride {
namespace {

// Longer between two ticks means that this process was held up, and with it perhaps the heartbeats.
constexpr Duration kHeldUp = std::chrono::milliseconds(1000);
// On top of ten rounds, for a member to leave a generation that is over: it may be in its local
// steps.
constexpr Duration kStuck = std::chrono::seconds(60);

}  // namespace

Coordinator::Coordinator(CoordinatorOptions options, TimePoint now)
    : options_(std::move(options)),
      replicas_(options_.job.spec.replicas),
      planner_(options_.job.spec, options_.recorded_plans, options_.recorded_rounds),
      ledger_(options_.takeover ? options_.takeover->samples : 0,
              options_.takeover ? options_.takeover->discarded : 0),
      generation_id_{options_.term, 0},
      lost_(options_.takeover ? options_.takeover->lost_workers : 0),
      checkpoint_(options_.takeover ? options_.takeover->checkpoint : 0),
      started_(options_.takeover ? now - options_.takeover->active : now),
      last_tick_(now),
      grace_until_(now + options_.heartbeat_limit + options_.reconnect_grace),
      settled_(!options_.takeover),
      settle_until_(grace_until_) {
  if (!settled_) ledger_.Hold();
}

Coordinator::Worker* Coordinator::Find(const WorkerId& id) {
  const auto it = workers_.find(PlaceOf(id));
  if (it == workers_.end() || it->second.join.worker != id) return nullptr;
  return it->second.present() && it->second.known ? &it->second : nullptr;
}

// Asked of a worker that Find does not find.
bool Coordinator::IsUnknown(const WorkerId& id) const {
  return options_.takeover && !fenced_.contains(id);
}

Error Coordinator::NotFound(const WorkerId& id) const {
  return IsUnknown(id) ? TransientError("this coordinator is new: the worker has to register first")
                       : FencedError();
}

int64_t Coordinator::RankOf(const WorkerId& id) const {
  const auto it = workers_.find(PlaceOf(id));
  const bool member = it != workers_.end() && it->second.join.worker == id &&
                      it->second.generation == generation_id_;
  return member ? it->second.rank : -1;
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

HeartbeatReply Coordinator::Heartbeat(const HeartbeatRequest& request, TimePoint now) {
  HeartbeatReply reply;
  reply.stop = stop_reason_.has_value();
  reply.stop_reason = stop_reason_.value_or("");
  Worker* worker = Find(request.worker);
  if (worker) worker->last_seen = now;
  if (worker && request.generation == generation_id_) worker->silent = request.silent;
  if (worker && worker->phase == Phase::kMember && request.broken &&
      request.generation == generation_id_ && !end_) {
    BreakGeneration(NameOf(PlaceOf(request.worker)) + " has lost a peer");
  }
  if (end_) {
    reply.state = MemberState::kEnded;
    reply.reason = end_->reason;
  } else if (!worker) {
    reply.state = IsUnknown(request.worker) ? MemberState::kUnknown : MemberState::kFenced;
    reply.reason = NotFound(request.worker).message;
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

// An adopted generation's store went down with the coordinator that formed it: who had not met the
// others by then gives up, and the next generation is formed.
bool Coordinator::StoreIsOpen(const GenerationId& id) const {
  return !end_ && !broken_ && id == generation_id_ && id.term == options_.term && !members_.empty();
}

Status Coordinator::StoreSet(const StoreSetRequest& request) {
  if (!StoreIsOpen(request.generation)) return FencedError();
  ++revision_;
  return store_.Set(request.key, request.value);
}

Result<std::optional<StoreReply>> Coordinator::StoreRead(const StoreReadRequest& request,
                                                         bool now_or_never) const {
  if (!StoreIsOpen(request.generation)) return FencedError();
  if (!now_or_never && store_.size() < request.count) return std::optional<StoreReply>();
  return std::optional<StoreReply>(store_.Contents());
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
  if (now >= grace_until_) EvictUnheard(now);
  for (const WorkerId& id : std::exchange(shed_, {})) {
    if (Worker* worker = Find(id))
      Lose(*worker, ErrorCode::kTransient, "it holds the others up, whatever share it gets");
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
  SettleIn();
  if (restart_deadline_ && now >= *restart_deadline_) FormGeneration();
}

}  // namespace longstride
