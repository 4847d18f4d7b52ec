// Who takes part: workers join, leave, are lost or released.
#include <algorithm>

#include "controller/coordinator/coordinator.h"
#include "controller/coordinator/worker_names.h"
#include "core/base/format.h"

namespace longstride {
namespace {

// For which a member that has finished the job waits for the others' reports of its last round.
constexpr Duration kLastReports = std::chrono::seconds(2);

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

}  // namespace

Status Coordinator::CheckKind(const JoinRequest& request) const {
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
  return {};
}

bool Coordinator::IsWanted(const WorkerPlace& place) const {
  const std::vector<WorkerPlace> places = wanted();
  return std::ranges::find(places, place) != places.end();
}

Status Coordinator::CheckPlace(const WorkerPlace& place) const {
  if (IsWanted(place)) return {};
  const auto of_group = std::ranges::count(wanted(), place.group, &WorkerPlace::group);
  return UserError(
      Format("index %lld is out of range: with %lld replicas, group %s has places 0 "
             "to %lld",
             static_cast<long long>(place.index), static_cast<long long>(replicas_),
             place.group.c_str(), static_cast<long long>(of_group) - 1));
}

Error Coordinator::Ended() const {
  const bool failed = end_->outcome == JobOutcome::kFailed;
  return {failed ? end_->code : ErrorCode::kInterrupted, "the job has ended: " + end_->reason};
}

Status Coordinator::Join(const JoinRequest& request, TimePoint now) {
  LONGSTRIDE_RETURN_IF_ERROR(CheckKind(request));
  LONGSTRIDE_RETURN_IF_ERROR(CheckPlace(PlaceOf(request.worker)));
  if (end_) return Ended();
  if (stop_reason_ || completed_)
    return InterruptedError("the job is ending: " + stop_reason_.value_or("it is complete"));
  return Seat(request, now, /*leaving=*/false);
}

// Gives a newcomer its place, from whoever has it.
Status Coordinator::Seat(const JoinRequest& request, TimePoint now, bool leaving) {
  const WorkerPlace place = PlaceOf(request.worker);
  if (const auto it = workers_.find(place); it != workers_.end()) {
    Worker& before = it->second;
    if (before.join.worker == request.worker) {  // sent again: the first answer was lost
      if (!before.present()) return FencedError();
      before.last_seen = now;
      return {};
    }
    if (before.present()) Lose(before, ErrorCode::kLostPeer, "it was started anew");
    if (end_) return Ended();
  }
  Worker worker;
  worker.join = request;
  WorkerProfile& profile = worker.join.profile;
  profile.micro_batch_cap =
      std::min(profile.micro_batch_cap, MicroBatchLimit(place).value_or(INT64_MAX));
  worker.last_seen = now;
  worker.leaving = leaving;
  worker.released = leaving || !IsWanted(place);
  Emit(JoinedEvent{worker.join});
  workers_[place] = std::move(worker);
  if (generation_id_.counter > 0) AskMembersToReform(NameOf(place) + " joins");
  FormGeneration();
  SettleIn();
  return {};
}

Status Coordinator::Leave(const LeaveRequest& request, TimePoint now) {
  Worker* worker = Find(request.worker);
  if (!worker) return NotFound(request.worker);
  NoteCheckpoint(request.checkpoint);
  if (request.exit_code == 0 && worker->phase == Phase::kMember && !end_)
    LONGSTRIDE_RETURN_IF_ERROR(Finish(request, now));
  Depart(*worker, request.exit_code, request.reason, request.mid_round);
  return {};
}

// A member that has finished the job is gone when this is answered, so what it did must be on
// record by then.
Status Coordinator::Finish(const LeaveRequest& request, TimePoint now) {
  completed_round_ = std::max(completed_round_, request.round);
  if (request.round <= ledger_.round() && settled_) return {};
  if (!finishing_since_) finishing_since_ = now;
  if (!settled_ || now - *finishing_since_ < kLastReports)
    return TransientError("the last round's reports are not all in yet");
  CommitAll(ledger_.Close(request.round));
  return {};
}

void Coordinator::WorkerExited(const std::string& group, int64_t index, int exit_code,
                               const std::string& exit_text, bool had_joined, TimePoint,
                               bool out_of_memory) {
  const WorkerPlace place{group, index};
  std::string detail = exit_text;
  const bool hopeless = out_of_memory && !HalveMicroBatch(place);
  if (out_of_memory && !hopeless) {
    detail += Format(
        " for want of memory; its next incarnation takes micro-batches of at most %lld samples",
        static_cast<long long>(*MicroBatchLimit(place)));
  } else if (hopeless) {
    exit_code = ExitCodeOf(ErrorCode::kResource);
    detail +=
        " for want of memory at micro-batches of one sample: use a smaller model, fewer workers on "
        "the machine, or raise the container's memory limit";
  }
  const auto it = workers_.find(place);
  if (had_joined) {
    if (it != workers_.end()) {
      if (it->second.present()) {
        Depart(it->second, exit_code, detail);
      } else if (hopeless && IsWanted(place) && !completed_ && !stop_reason_) {
        End(JobOutcome::kFailed, ErrorCode::kResource, NameOf(place) + " was lost: " + detail);
      }
    } else if (options_.takeover && exit_code == 0 && IsWanted(place)) {
      completed_ = true;  // while no coordinator was there to hear it
      EndIfAllLeft();
    }
    return;
  }
  if (end_ || completed_ || stop_reason_ || !IsWanted(place)) return;
  if (IsGoodExit(exit_code)) {
    if (generation_id_.counter > 0) return;
    End(JobOutcome::kStopped, ErrorCode::kInterrupted,
        NameOf(place) + " left before it joined: " + detail);
    return;
  }
  CountLost(CodeOfExit(exit_code), NameOf(place) + " failed before it joined: " + detail);
}

void Coordinator::Depart(Worker& worker, int exit_code, const std::string& reason, bool mid_round) {
  const WorkerPlace place = PlaceOf(worker.join.worker);
  if (!IsGoodExit(exit_code) && !end_) {
    Lose(worker, CodeOfExit(exit_code), reason);
    return;
  }
  const bool member = worker.phase == Phase::kMember;
  worker.phase = Phase::kLeft;
  fenced_.insert(worker.join.worker);
  Emit(WorkerLeftEvent{worker.join.worker, exit_code, reason});
  if (end_) return;
  if (exit_code == 0 && !worker.released) completed_ = completed_ || member;
  if (member && mid_round) {
    BreakGeneration(NameOf(place) + " left in the middle of a round: " + reason);
  } else if (member && !completed_ && !stop_reason_) {
    AskMembersToReform(NameOf(place) + " left");
  }
  EndIfAllLeft(exit_code == 0 || worker.released ? "" : NameOf(place) + " was interrupted");
  FormGeneration();
}

void Coordinator::Lose(Worker& worker, ErrorCode code, const std::string& reason) {
  const bool member = worker.phase == Phase::kMember || worker.phase == Phase::kDetached;
  worker.phase = Phase::kLost;
  fenced_.insert(worker.join.worker);
  Emit(WorkerLostEvent{worker.join.worker, reason, code});
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

Status Coordinator::Scale(int64_t replicas) {
  LONGSTRIDE_RETURN_IF_ERROR(CheckReplicas(options_.job.spec, replicas));
  if (end_) return UserError("the job has ended: " + end_->reason);
  if (replicas == replicas_) return {};
  replicas_ = replicas;
  Emit(ScaledEvent{replicas});
  const std::vector<WorkerPlace> places = wanted();
  bool leaving = false;
  for (auto& [place, worker] : workers_) {
    worker.released = worker.leaving || std::ranges::find(places, place) == places.end();
    leaving = leaving || (worker.released && worker.phase == Phase::kMember);
  }
  if (leaving)
    AskMembersToReform(Format("scaled to %lld workers", static_cast<long long>(replicas)));
  FormGeneration();
  return {};
}

}  // namespace longstride
