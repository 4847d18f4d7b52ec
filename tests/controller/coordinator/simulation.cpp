#include "tests/controller/coordinator/simulation.h"

#include <algorithm>
#include <set>

#include "core/base/format.h"
#include "tests/controller/coordinator/samples.h"

namespace longstride {
namespace {

constexpr int kStepLimit = 200000;

}  // namespace

std::string Simulation::Hex(uint64_t digest) {
  return Format("%016llx", static_cast<unsigned long long>(digest));
}

Simulation::Simulation(const SimulationOptions& options)
    : options_(options), random_(options.seed) {
  CoordinatorOptions& coordinator = coordinator_options_;
  coordinator.job = MakeJob(1 + static_cast<int64_t>(random_.NextBelow(6)));
  coordinator.job.spec.workers[0].min_replicas =
      static_cast<int64_t>(random_.NextBelow(static_cast<uint64_t>(coordinator.job.spec.replicas)));
  coordinator.job.spec.workers[0].max_replicas = 8;
  coordinator.job.spec.run_policy.backoff_limit = 1 << 20;
  batch_ = 8 + static_cast<int64_t>(random_.NextBelow(64));
  samples_ =
      batch_ * coordinator.job.spec.replicas * (10 + static_cast<int64_t>(random_.NextBelow(30)));
  told_digest_ = Hex(State().digest);
  ever_told_.insert(told_digest_);
  coordinator_ = std::make_unique<Coordinator>(coordinator, clock_.Now());
}

Simulation::~Simulation() = default;

void Simulation::Break(const std::string& what) {
  if (broken_.empty()) broken_ = Format("step %d: %s", step_, what.c_str());
}

std::string Simulation::Run() {
  for (; broken_.empty() && !(coordinator_ && coordinator_->end()); ++step_) {
    if (step_ > kStepLimit) Break("the job does not come to its end");
    Step();
  }
  Check();
  if (!broken_.empty()) return broken_;
  if (coordinator_->end()->outcome != JobOutcome::kCompleted)
    return "the job ended otherwise: " + coordinator_->end()->reason;
  if (told_.cursor() < samples_ || !told_.holes().empty())
    return Format("only %lld of %lld samples", static_cast<long long>(told_.committed().size()),
                  static_cast<long long>(samples_));
  return "";
}

void Simulation::Step() {
  if (!coordinator_ && --dead_for_ <= 0) StartCoordinator();
  Launch();
  if (faulty()) Faults();
  clock_.Advance(std::chrono::milliseconds(random_.NextBelow(60)));
  std::vector<Worker*> all;
  for (auto& [place, worker] : workers_) {
    if (worker) all.push_back(worker.get());
  }
  for (auto& ghost : ghosts_) all.push_back(ghost.get());
  for (auto& [pair, steps] : cuts_) --steps;
  std::erase_if(cuts_, [](const auto& cut) { return cut.second <= 0; });
  for (Worker* worker : all) {
    worker->frozen_for = std::max(0, worker->frozen_for - 1);
    worker->cut_off_for = std::max(0, worker->cut_off_for - 1);
    if (CanReachCoordinator(*worker) && worker->where != Where::kStarting &&
        worker->where != Where::kGone && Chance(4))
      Beat(*worker);
  }
  if (!all.empty()) {
    Worker& worker = *all[random_.NextBelow(all.size())];
    if (worker.running()) Act(worker);
  }
  if (coordinator_) coordinator_->Tick(clock_.Now());
  Check();
  std::erase_if(ghosts_, [](const auto& w) { return !w->alive || w->where == Where::kGone; });
}

// What the launcher does: a process at every place that is wanted.
void Simulation::Launch() {
  if (!coordinator_ || coordinator_->end() || coordinator_->completing()) return;
  bool any = false;
  for (const auto& [place, worker] : workers_)
    any = any || (worker && worker->alive && worker->where != Where::kGone);
  const bool from_checkpoint = !any && !incarnations_.empty();
  for (const WorkerPlace& place : coordinator_->wanted()) {
    auto& slot = workers_[place];
    if (slot && slot->alive && slot->where != Where::kGone) continue;
    if (incarnations_.contains(place) && !Chance(20)) continue;  // the pause before a restart
    slot = std::make_unique<Worker>();
    slot->join = MakeJoin(place.index, place.group, std::to_string(++incarnations_[place]));
    if (checkpoint_.round > 0 && !incarnations_.empty()) {  // also beside others, who may die yet
      slot->state = checkpoint_;
      slot->state.generation = {};
      slot->join.round = checkpoint_.round;
    }
    if (from_checkpoint) ++counts_.restarts;
  }
}

void Simulation::Faults() {
  std::vector<std::pair<WorkerPlace, Worker*>> alive;
  for (auto& [place, worker] : workers_) {
    if (worker && worker->alive && worker->where != Where::kGone)
      alive.emplace_back(place, worker.get());
  }
  const auto in_order = [&](const auto& w) {
    return w.second->where == Where::kTraining && w.second->running();
  };
  if (options_.only_the_coordinator) {
    const bool full = static_cast<int64_t>(alive.size()) == coordinator_options_.job.spec.replicas;
    if (coordinator_ && full && std::ranges::all_of(alive, in_order) && Chance(100)) Crash();
    return;
  }
  // More often while the members change.
  if (coordinator_ && Chance(std::ranges::all_of(alive, in_order) ? 800 : 200)) Crash();
  if (alive.empty()) return;
  auto& [place, victim] = alive[random_.NextBelow(alive.size())];
  if (Chance(300)) {
    victim->alive = false;
    ++counts_.lost;
    if (coordinator_ && Chance(2))  // the launcher has seen it at once; else silence will tell
      coordinator_->WorkerExited(place.group, place.index, 137, "killed",
                                 victim->where != Where::kStarting, clock_.Now());
  } else if (Chance(500)) {
    victim->frozen_for = static_cast<int>(random_.NextBelow(300));
    ++counts_.frozen;
  } else if (Chance(500)) {
    victim->cut_off_for = static_cast<int>(random_.NextBelow(300));
    ++counts_.cut_off;
  } else if (Chance(500)) {
    const auto& [other, process] = alive[random_.NextBelow(alive.size())];
    if (other == place) return;
    cuts_[std::minmax(place, other)] = static_cast<int>(random_.NextBelow(300));
    ++counts_.peers_cut;
  } else if (Chance(800) && victim->where == Where::kTraining) {
    victim->aborted = true;  // a peer cannot be reached, or so it seems
  } else if (Chance(500) && victim->where == Where::kTraining && CanReachCoordinator(*victim) &&
             std::ranges::count_if(alive, in_order) > 1) {  // the last to leave stops the job
    // Told to leave, without the time to finish its round.
    const Status left = coordinator_->Leave(
        {victim->join.worker, victim->generation->id, victim->state.round,
         ExitCodeOf(ErrorCode::kInterrupted), "no time left", /*mid_round=*/true},
        clock_.Now());
    if (left.ok()) victim->where = Where::kGone;
    if (left.ok()) ++counts_.left;
  } else if (Chance(1500)) {
    const int64_t replicas = 1 + static_cast<int64_t>(random_.NextBelow(8));
    if (coordinator_ && coordinator_->Scale(replicas).ok()) {
      coordinator_options_.job.spec.replicas = replicas;
      ++counts_.scaled;
    }
  }
}

void Simulation::Crash() {
  ++counts_.crashes;
  coordinator_.reset();
  dead_for_ = static_cast<int>(random_.NextBelow(400));
}

// The next one knows the job, and what is on record or nothing.
void Simulation::StartCoordinator() {
  ++coordinator_options_.term;
  coordinator_options_.takeover.emplace();
  if (Chance(2)) {
    coordinator_options_.takeover->round = told_round_;
    coordinator_options_.takeover->generation = told_generation_;
  }
  coordinator_ = std::make_unique<Coordinator>(coordinator_options_, clock_.Now());
}

void Simulation::Act(Worker& w) {
  switch (w.where) {
    case Where::kStarting:
      if (!CanReachCoordinator(w)) return;
      if (coordinator_->Join(w.join, clock_.Now()).ok()) {
        w.where = Where::kWaiting;
        ++counts_.joined;
      } else {
        w.where = Where::kGone;
      }
      return;
    case Where::kWaiting:
      if (!CanReachCoordinator(w)) return;
      if (w.unsent()) return SendReport(w);  // flushed before it asks
      return Ask(w);
    case Where::kAligning:
    case Where::kTraining:
      if (CanReachCoordinator(w) && w.unsent() && Chance(2)) return SendReport(w);
      if (w.aborted) return Fail(w);
      if (w.where == Where::kTraining && w.state.ledger.cursor() >= samples_ &&
          w.state.ledger.holes().empty()) {
        w.where = Where::kLeaving;
        return;
      }
      w.arrived = true;
      return Collective(w.generation->id);
    case Where::kLeaving:
      if (!CanReachCoordinator(w)) return;
      if (w.unsent()) return SendReport(w);
      if (const Status left = coordinator_->Leave(
              {w.join.worker, w.generation ? w.generation->id : GenerationId{}, w.state.round,
               w.generation ? 0 : ExitCodeOf(ErrorCode::kInterrupted), "completed"},
              clock_.Now());
          left.ok() || left.error().code != ErrorCode::kTransient)
        w.where = Where::kGone;
      return;
    case Where::kGone:
      return;
  }
}

void Simulation::Ask(Worker& w) {
  const GenerationId after = w.generation ? w.generation->id : GenerationId{};
  const auto reply = coordinator_->PollGeneration(
      {w.join.worker, after, w.state.round, "a peer is gone", 1}, clock_.Now());
  if (!reply) return;
  if (reply->state == MemberState::kUnknown) {
    Register(w);
  } else if (reply->state == MemberState::kFenced) {
    w.where = Where::kGone;
  } else if (reply->state == MemberState::kEnded) {
    w.where = Where::kLeaving;
  } else if (reply->generation) {
    w.generation = *reply->generation;
    w.where = Where::kAligning;
    w.arrived = w.aborted = w.reform = w.left = false;
    w.outbox.clear();
    w.sent = 0;
    w.settled = w.state.round;
  }
}

void Simulation::Register(Worker& w) {
  RegisterRequest request;
  request.join = w.join;
  request.generation = w.generation;
  request.left = w.left;
  request.leaving = w.where == Where::kLeaving;
  request.round = w.state.round;
  request.settled = w.outbox.empty() ? w.settled : w.outbox.front().round - 1;
  request.reports.assign(w.outbox.begin(), w.outbox.end());
  const Status taken = coordinator_->Register(request, clock_.Now());
  ++counts_.registered;
  if (Chance(8)) return;  // the answer was lost
  if (taken.ok()) {
    w.sent = w.outbox.size();
  } else if (taken.error().code != ErrorCode::kTransient) {
    w.where = Where::kGone;
  }
}

// The collective fails on this worker: what it had done stays with it.
void Simulation::Fail(Worker& w) {
  w.aborted = w.arrived = false;
  w.left = true;
  w.where = Where::kWaiting;
}

void Simulation::SendReport(Worker& w) {
  const RoundReport report = w.outbox[w.sent];
  const Status taken = coordinator_->Report({w.join.worker, report}, clock_.Now());
  if (!taken.ok() && taken.error().code == ErrorCode::kLostPeer) {
    w.outbox.clear();
    w.sent = 0;
    w.aborted = true;
    return;
  }
  if (!taken.ok() || Chance(8)) return;  // or the answer was lost
  const auto reply = coordinator_->ReplyTo(report, true);
  if (reply->reform) w.reform = true;
  ++w.sent;
  for (; w.sent > 0 && w.outbox.front().round <= reply->committed; --w.sent) {
    w.settled = w.outbox.front().round;
    w.outbox.pop_front();
  }
}

bool Simulation::Cut(const WorkerId& a, const WorkerId& b) const {
  return cuts_.contains(std::minmax(WorkerPlace{a.group, a.index}, WorkerPlace{b.group, b.index}));
}

void Simulation::Beat(Worker& w) {
  w.last_contact = clock_.Now();
  HeartbeatRequest request;
  request.worker = w.join.worker;
  request.round = w.state.round;
  if (w.generation) {
    request.generation = w.generation->id;
    for (size_t r = 0; r < w.generation->members.size(); ++r) {
      if (Cut(w.join.worker, w.generation->members[r].worker))
        request.silent.push_back(static_cast<int64_t>(r));
    }
  }
  const HeartbeatReply reply = coordinator_->Heartbeat(request, clock_.Now());
  if (reply.state == MemberState::kUnknown) Register(w);
  if (reply.state == MemberState::kReform || reply.state == MemberState::kFenced) w.aborted = true;
  if (reply.reform) w.reform = true;
}

// A worker that was given up for lost is killed, or goes on somewhere unseen, to be fenced.
void Simulation::Replace(const WorkerId& id) {
  auto& slot = workers_[{id.group, id.index}];
  if (!slot || slot->join.worker != id || !slot->alive) return;
  if (Chance(2)) {
    slot->alive = false;
  } else {
    ghosts_.push_back(std::move(slot));
  }
}

void Simulation::Check() {
  if (!coordinator_) return;
  for (const Event& event : coordinator_->DrainEvents()) {
    if (const auto* formed = std::get_if<GenerationFormedEvent>(&event.data)) {
      ++counts_.generations;
      std::set<WorkerPlace> places;
      for (const Member& m : formed->members) {
        if (!places.insert({m.worker.group, m.worker.index}).second)
          Break("a generation holds one place twice");
      }
    }
    if (const auto* lost = std::get_if<WorkerLostEvent>(&event.data)) Replace(lost->worker);
    if (const auto* round = std::get_if<RoundCommittedEvent>(&event.data))
      CheckCommitted(round->record);
  }
  if (coordinator_->end() && coordinator_->end()->outcome == JobOutcome::kFailed)
    Break("the coordinator gave up: " + coordinator_->end()->reason);
}

bool Simulation::Descends(std::string digest, const std::string& from) const {
  while (digest != from) {
    const auto it = origins_.find(digest);
    if (it == origins_.end()) return false;
    digest = it->second.parent;
  }
  return true;
}

void Simulation::CheckCommitted(const RoundRecord& record) {
  const RoundReport& common = record.common();
  const auto number = [](int64_t n) { return static_cast<long long>(n); };
  const Origin& origin = origins_.at(common.digest);
  // A coordinator that took over without knowing what is on record may tell a round once more.
  const auto& takeover = coordinator_options_.takeover;
  const bool again = takeover && takeover->round == 0 && ever_told_.contains(common.digest);
  if (again) {
    told_ = origin.before;
  } else if (origin.parent != told_digest_) {
    for (const auto& [place, w] : workers_) {
      const bool in_it = w && w->alive && w->where != Where::kStarting && w->where != Where::kGone;
      const bool alive =
          in_it && clock_.Now() - w->last_contact <= coordinator_options_.heartbeat_limit;
      if (alive && Hex(w->state.digest) == told_digest_ && !Descends(origin.parent, told_digest_))
        Break(Format("round %lld is taken back, but %s holds it", number(told_round_),
                     place.Name().c_str()));
    }
    // A checkpoint may hold rounds whose workers all died before they could report them.
    if (!ever_told_.contains(origin.parent) && !checkpoints_.contains(origin.parent))
      Break(Format("the rounds before round %lld were never told", number(common.round)));
    told_ = origin.before;
  } else if (common.round != told_round_ + 1) {
    Break(Format("round %lld follows round %lld", number(common.round), number(told_round_)));
  }
  int64_t rank = -1;
  for (const RoundReport& report : record.reports) {
    if (report.rank <= rank) Break("ranks are not distinct");
    rank = report.rank;
    if (report.generation != common.generation) Break("a round of two generations");
  }
  const Status booked = told_.Record({common.committed, common.discarded, common.lost});
  if (!booked.ok()) Break(booked.error().message);
  if (const Status law = told_.Check(); !law.ok()) Break(law.error().message);
  told_round_ = common.round;
  told_generation_ = common.generation;
  told_digest_ = common.digest;
  ever_told_.insert(told_digest_);
}

}  // namespace longstride
