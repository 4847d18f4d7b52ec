// What takes place between the simulated workers: agreeing on the state that goes on, and rounds.
#include <algorithm>

#include "tests/controller/coordinator/samples.h"
#include "tests/controller/coordinator/simulation.h"

namespace longstride {
namespace {

constexpr int64_t kCheckpointEvery = 4;  // rounds

std::vector<PositionRange> Flat(const std::vector<std::vector<PositionRange>>& parts) {
  PositionSet set;
  for (const auto& part : parts) {
    for (const PositionRange& r : part) set.Add(r);
  }
  return set.ranges();
}

}  // namespace

// One collective call: it takes place once every member has come to it, and fails for all while one
// is dead. A frozen or absent one is waited for.
void Simulation::Collective(const GenerationId& id) {
  std::vector<Worker*> members;
  const Generation* generation = nullptr;
  std::map<WorkerId, Worker*> processes;
  for (auto& [place, w] : workers_) {
    if (w) processes[w->join.worker] = w.get();
  }
  for (auto& w : ghosts_) processes[w->join.worker] = w.get();
  for (auto& [worker_id, w] : processes) {
    const bool in_it = w->where == Where::kAligning || w->where == Where::kTraining;
    if (!w->generation || w->generation->id != id || !w->alive || !in_it) continue;
    generation = &*w->generation;
    members.push_back(w);
  }
  if (members.size() < generation->members.size()) {
    // One that has not entered yet is waited for; one that died or has left is noticed.
    bool gone = false;
    for (const Member& m : generation->members) {
      const auto it = processes.find(m.worker);
      if (it == processes.end() || !it->second->alive || it->second->where == Where::kGone ||
          it->second->where == Where::kLeaving) {
        gone = true;
      } else if (it->second->where == Where::kWaiting) {
        gone = gone || (it->second->generation && it->second->generation->id >= id);
      } else {
        gone = gone || it->second->generation->id > id;
      }
    }
    for (Worker* w : members) {
      if (gone && w->arrived && w->running() && Chance(3)) w->aborted = true;
    }
    return;
  }
  const auto ready = [](const Worker* w) { return w->arrived && w->running() && !w->aborted; };
  if (!std::ranges::all_of(members, ready)) return;
  for (const Worker* a : members) {
    for (const Worker* b : members) {
      if (Cut(a->join.worker, b->join.worker)) return;  // until the cut ends or one of them is gone
    }
  }
  std::ranges::sort(members, {}, [](const Worker* w) { return w->generation->rank; });
  const bool aligning = members.front()->where == Where::kAligning;
  for (const Worker* w : members) {
    if ((w->where == Where::kAligning) != aligning) return;
  }
  for (Worker* w : members) w->arrived = false;
  if (aligning) {
    Align(members);
  } else {
    Exchange(members, false);
  }
}

void Simulation::Align(std::vector<Worker*>& members) {
  const auto order = [](const Worker* w) {
    return std::tuple(w->state.generation, w->state.round);
  };
  const State best = (*std::ranges::max_element(members, {}, order))->state;
  GenerationId begun;
  for (Worker* w : members) {
    // Of those from checkpoints a ghost may have written one: all go on from the same.
    if (order(w) == std::tuple(best.generation, best.round) && w->state.digest != best.digest &&
        best.generation.counter > 0)
      Break("two members at the same round have different states");
    w->state = best;
    w->where = Where::kTraining;
    if (w->pending && (w->pending->anchor != best.digest || w->pending->round != best.round + 1))
      w->pending.reset();
    if (w->pending) begun = std::max(begun, w->pending->begun);
  }
  for (Worker* w : members) {
    if (w->pending && w->pending->begun != begun) w->pending.reset();
  }
  if (begun.counter > 0) {
    ++counts_.completed_rounds;
    Exchange(members, true);
  }
}

// A round's end: the parts that are there count, the others are lost. A member may fail at the last
// moment and not know that the round is committed.
void Simulation::Exchange(std::vector<Worker*>& members, bool completing) {
  const size_t size = members.size();
  const State before = members.front()->state;
  RoundPositions outcome;
  std::vector<std::vector<PositionRange>> done, lost;
  std::vector<int64_t> local(size, 0);
  if (completing) {
    std::set<int> parts;
    std::vector<PositionRange> all;
    for (size_t r = 0; r < size; ++r) {
      const auto& pending = members[r]->pending;
      if (!pending) continue;
      if (!parts.insert(pending->part).second) Break("two members hold the same part");
      all = pending->positions;
      done.push_back({pending->positions[static_cast<size_t>(pending->part)]});
      local[r] = done.back().front().size();
    }
    for (size_t p = 0; p < all.size(); ++p) {
      if (!parts.contains(static_cast<int>(p))) lost.push_back({all[p]});
    }
  } else {
    // Every member a part of its own, of one range of holes or of fresh positions.
    std::vector<PositionRange> parts;
    std::vector<PositionRange> next = before.ledger.Next(batch_ * static_cast<int64_t>(size));
    const PositionRange first = next.front();
    const int64_t share = std::max<int64_t>(1, first.size() / static_cast<int64_t>(size));
    for (size_t r = 0; r < size; ++r) {
      const int64_t begin = std::min(first.end, first.begin + static_cast<int64_t>(r) * share);
      const int64_t end = r + 1 == size ? first.end : std::min(first.end, begin + share);
      parts.push_back({begin, end});
    }
    for (size_t r = 0; r < size; ++r) {
      members[r]->pending = Pending{before.round + 1, before.digest, parts,
                                    members[r]->generation->id, static_cast<int>(r)};
      done.push_back({parts[r]});
      local[r] = parts[r].size();
    }
    // The local steps are done; what if a member is lost right now?
    if (fragile() && Chance(30)) {
      Worker* victim = members[random_.NextBelow(size)];
      victim->alive = false;
      ++counts_.lost;
      for (Worker* w : members) w->aborted = w->alive;
      return;
    }
  }
  outcome.committed = Flat(done);
  outcome.lost = Flat(lost);
  State after = before;
  after.round += 1;
  after.generation = members.front()->generation->id;
  if (const Status booked = after.ledger.Record(outcome); !booked.ok())
    return Break(booked.error().message);
  after.digest =
      Hash64(before.digest, static_cast<uint64_t>(TotalSize(outcome.committed)),
             static_cast<uint64_t>(after.generation.counter + (after.generation.term << 32)));
  origins_[Hex(after.digest)] = {Hex(before.digest), before.ledger};
  // Of a round that all held.
  if (before.round > 0 && before.round % kCheckpointEvery == 0) {
    checkpoint_ = before;
    checkpoints_.insert(Hex(before.digest));
  }

  const bool torn = fragile() && Chance(40);
  bool reform = false;
  for (const Worker* w : members) reform = reform || w->reform;
  for (size_t r = 0; r < size; ++r) {
    Worker& w = *members[r];
    if (torn && Chance(2)) {
      w.aborted = true;  // its pending round is void, as others will tell
      continue;
    }
    RoundReport report = MakeReport(after.generation, after.round, static_cast<int64_t>(r), 1);
    report.cursor_begin = before.ledger.cursor();
    report.cursor_end = after.ledger.cursor();
    report.committed = outcome.committed;
    report.lost = outcome.lost;
    report.holes = after.ledger.holes().ranges();
    report.samples = TotalSize(outcome.committed);
    report.local_samples = local[r];
    report.digest = Hex(after.digest);
    w.outbox.push_back(report);
    w.state = after;
    w.pending.reset();
    if (reform) Fail(w);
  }
}

}  // namespace longstride
