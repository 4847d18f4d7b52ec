// Taking over a job from a coordinator that is gone: workers register, and their generation is
// adopted.
#include <algorithm>

#include "controller/coordinator/coordinator.h"
#include "controller/coordinator/worker_names.h"
#include "core/base/format.h"

namespace longstride {

Status Coordinator::Register(const RegisterRequest& request, TimePoint now) {
  LONGSTRIDE_RETURN_IF_ERROR(CheckKind(request.join));
  if (end_) return Ended();
  const WorkerId& id = request.join.worker;
  if (fenced_.contains(id)) return FencedError();
  const GenerationId of = request.generation ? request.generation->id : GenerationId{};
  if (Worker* worker = Find(id)) {  // sent again: the first answer was lost
    worker->last_seen = now;
    NoteCheckpoint(request.checkpoint);
    if (of == generation_id_) TakeReports(request);
    return {};
  }
  // One that was waiting for its first generation may be in it, and not have heard of it.
  if (of.counter == 0 && RankOf(id) < 0) return Seat(request.join, now, request.leaving);
  if (of.term >= options_.term && of > generation_id_) {
    return TransientError(
        Format("the worker's generation is of a coordinator of term %lld; this one has term %lld",
               static_cast<long long>(of.term), static_cast<long long>(options_.term)));
  }
  if (of.counter > 0 && (generation_id_.counter == 0 || of > generation_id_))
    Adopt(*request.generation, now);
  return Readmit(request, now);
}

// The members of the newest generation known of are expected to register; whoever trained in an
// older one and is not among them was given up for lost by the coordinator that formed it.
void Coordinator::Adopt(const Generation& generation, TimePoint now) {
  const auto& members = generation.members;
  ++revision_;
  for (auto& [place, worker] : workers_) {
    if (!worker.present() || worker.generation.counter == 0) continue;
    if (std::ranges::find(members, worker.join.worker, &Member::worker) != members.end()) continue;
    worker.phase = Phase::kLost;
    fenced_.insert(worker.join.worker);
    if (worker.known)
      Emit(WorkerLostEvent{worker.join.worker, "its generation has gone on without it"});
  }
  generation_id_ = generation.id;
  members_ = members;
  backend_ = generation.backend;
  reform_ = broken_ = waiting_ = false;
  restart_deadline_.reset();
  ledger_.Forget();
  ledger_.Begin(static_cast<int64_t>(members.size()));

  std::string missing;
  int64_t rank = -1;
  for (const Member& member : members) {
    ++rank;
    const WorkerPlace place = PlaceOf(member.worker);
    const auto it = workers_.find(place);
    const bool taken = it != workers_.end() && it->second.present();
    if (taken && it->second.join.worker == member.worker) {
      // It asked for this generation, and the coordinator was gone before it could answer.
      it->second.generation = generation.id;
      it->second.rank = rank;
      if (!it->second.known) continue;
      it->second.phase = Phase::kDetached;
      missing = NameOf(place) + " has not heard of it";
    } else if (taken || fenced_.contains(member.worker)) {
      fenced_.insert(member.worker);
      missing = NameOf(place) + " was started anew";
    } else {
      Worker& worker = workers_[place] = Worker();
      worker.join.worker = member.worker;
      worker.join.address = member.address;
      worker.phase = Phase::kMember;
      worker.last_seen = now;
      worker.generation = generation.id;
      worker.rank = rank;
      worker.known = false;
    }
  }
  if (!missing.empty()) BreakGeneration(missing);
}

Status Coordinator::Readmit(const RegisterRequest& request, TimePoint now) {
  const WorkerId& id = request.join.worker;
  const WorkerPlace place = PlaceOf(id);
  const auto it = workers_.find(place);
  const bool expected = RankOf(id) >= 0 && it != workers_.end() && it->second.join.worker == id &&
                        it->second.present();
  if (!expected) {
    fenced_.insert(id);
    return FencedError();
  }
  Worker& worker = it->second;
  worker.join = request.join;
  worker.known = true;
  worker.last_seen = now;
  worker.round = request.round;
  worker.leaving = request.left && request.leaving;
  worker.released = worker.leaving || !IsWanted(place);
  const GenerationId of = request.generation ? request.generation->id : GenerationId{};
  Emit(RegisteredEvent{request.join, of, request.round, request.totals});
  NoteCheckpoint(request.checkpoint);
  Learn(request);
  if (end_) return {};
  if (request.left || of < generation_id_) {
    Detach(worker, {id, of, request.round, "it has left its generation", 0}, now);
  } else {
    if (worker.released) AskMembersToReform(NameOf(place) + " is not wanted any more");
    if (Any(Phase::kJoined)) AskMembersToReform("workers wait to join");
  }
  SettleIn();
  return {};
}

void Coordinator::SettleIn() {
  if (settled_ || end_) return;
  const auto known = [&](const WorkerPlace& place) {
    const auto it = workers_.find(place);
    return it != workers_.end() && it->second.present() && it->second.known;
  };
  const auto expected = [](const auto& w) { return w.second.present() && !w.second.known; };
  // While all who came are new, others who hold the state may yet come: those of places, too, that
  // are not wanted any more.
  const bool all = generation_id_.counter > 0 && std::ranges::all_of(wanted(), known) &&
                   std::ranges::none_of(workers_, expected);
  if (!all && last_tick_ < settle_until_) return;
  settled_ = true;
  if (!CommitAll(ledger_.Release())) return;
  if (completed_) EndIfAllLeft();
  FormGeneration();
}

// The books and the plans, from what the worker knows of them.
void Coordinator::Learn(const RegisterRequest& request) {
  ledger_.KnowDiscarded(request.totals.discarded);
  if (!request.generation) return;
  // Who has not trained since it joined knows nothing of what others committed.
  if (request.round > request.join.round) {
    // What is on record may be of a state that was lost since.
    const bool recorded = options_.takeover &&
                          options_.takeover->generation == request.generation->id &&
                          options_.takeover->round <= request.round;
    const int64_t settled = std::max(request.settled, recorded ? options_.takeover->round : 0);
    if (!CommitAll(ledger_.Resume(settled))) return;
  }
  if (request.generation->id != generation_id_) return;
  std::vector<JoinRequest> joins;
  for (const Member& member : members_) {
    const Worker& worker = workers_[PlaceOf(member.worker)];
    joins.push_back(worker.join);
    joins.back().worker = member.worker;
  }
  planner_.Adopt(joins, request.generation->plans);
  TakeReports(request);
}

void Coordinator::TakeReports(const RegisterRequest& request) {
  const int64_t rank = RankOf(request.join.worker);
  for (const RoundReport& report : request.reports) {
    if (end_) return;
    if (report.generation != generation_id_ || report.rank != rank) continue;
    Result<RoundLedger::Rounds> complete = ledger_.Add(report);
    if (!complete.ok() && complete.error().code != ErrorCode::kBug)
      return;  // the worker repeats it
    CommitAll(std::move(complete));
  }
}

}  // namespace longstride
