#include "controller/reconcile/workers.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/format.h"
#include "core/base/result.h"

namespace longstride {
namespace {

using Container = PodView::Container;

// What a container's exit code is after SIGKILL.
constexpr int64_t kKilled = 137;
// After its grace period a pod that is being deleted is given up, whatever its node says.
constexpr double kDeletionMargin = 5;

struct Exit {
  int64_t code;
  EndKind kind;
  const char* reason;
};
// The stable exit codes of docs/errors.md.
constexpr Exit kExits[] = {
    {0, EndKind::kSucceeded, "Completed"},    {1, EndKind::kHopeless, "Bug"},
    {2, EndKind::kHopeless, "UserError"},     {3, EndKind::kHopeless, "DataError"},
    {4, EndKind::kHopeless, "ResourceError"}, {5, EndKind::kLost, "LostPeer"},
    {6, EndKind::kLost, "TransientError"},    {7, EndKind::kInterrupted, "Interrupted"},
};

WorkerEnd EndOfContainer(const PodView& pod) {
  WorkerEnd end;
  end.exit_code = pod.exit_code;
  end.time = pod.finished;
  end.kind = EndKind::kLost;
  end.reason = "Killed";
  for (const Exit& exit : kExits) {
    if (exit.code != pod.exit_code) continue;
    end.kind = exit.kind;
    end.reason = exit.reason;
  }
  end.message = Format("exit code %lld", static_cast<long long>(pod.exit_code));
  if (pod.worker_reason == "OOMKilled") {
    end.kind = EndKind::kLost;
    end.reason = "OOMKilled";
    // With any other code it ended by itself, and what was killed was another process.
    end.out_of_memory = pod.exit_code == kKilled;
    end.message =
        "it used more memory than its container may: the next one takes smaller micro-batches; "
        "raise resources.limits.memory for larger ones";
  } else if (pod.worker_reason == "ContainerCannotRun" || pod.worker_reason == "StartError") {
    // The code is the container runtime's. One node may be at fault, as by a broken hook for GPUs.
    end.kind = EndKind::kLost;
    end.reason = pod.worker_reason;
    end.message = "its container could not be started: look at its image, command and node";
  } else if (pod.exit_code > 128) {
    end.message = Format("killed by signal %lld", static_cast<long long>(pod.exit_code) - 128);
  }
  if (!pod.worker_message.empty()) end.message += ": " + pod.worker_message;
  return end;
}

WorkerEnd Lost(std::string reason, std::string message, double now) {
  return {EndKind::kLost, std::move(reason), std::move(message), -1, now, false};
}

// Its coordinator has lost it: it was silent, or has said why it ends and is about to.
WorkerEnd EndOfLost(const MemberView& member, double now) {
  WorkerEnd end = Lost("Unresponsive", member.reason, now);
  if (member.code == ErrorCode::kLostPeer) return end;
  end.exit_code = ExitCodeOf(member.code);
  const Exit& exit = *std::ranges::find(kExits, end.exit_code, &Exit::code);
  end.kind = exit.kind;
  end.reason = exit.reason;
  return end;
}

WorkerEnd Vanished(double now) {
  return Lost("Vanished", "its pod is gone, and nobody knows why", now);
}

// What was done to its pod comes before how its worker took that.
void BlameThePod(const PodView& pod, WorkerEnd& end) {
  if (end.kind == EndKind::kSucceeded) return;
  if (pod.disrupted) {
    end.kind = EndKind::kDisrupted;
    end.reason = pod.pod_reason.empty() ? "Disrupted" : pod.pod_reason;
    end.message = "its pod was evicted, preempted, or its node drained or lost";
    if (!pod.pod_message.empty()) end.message += ": " + pod.pod_message;
  } else if (pod.terminal() && !pod.pod_reason.empty() && end.kind != EndKind::kHopeless) {
    // Without DisruptionTarget it is its own fault, and may be the next one's: "Evicted" for more
    // storage than it may use, "DeadlineExceeded" of its template.
    end.kind = EndKind::kLost;
    end.reason = pod.pod_reason;
    if (!pod.pod_message.empty()) end.message = pod.pod_message;
  }
}

bool Counts(EndKind kind) {
  return kind == EndKind::kLost || kind == EndKind::kHopeless;
}

}  // namespace

std::optional<WorkerEnd> EndOf(const PodView& pod, const MemberView* member, double now) {
  const bool known = member != nullptr && !pod.uid.empty() && member->pod_uid == pod.uid;
  const bool gone = known && member->state > MemberView::State::kMember;
  std::optional<WorkerEnd> end;
  if (pod.worker == Container::kTerminated) {
    end = EndOfContainer(pod);
  } else if (pod.terminal()) {
    end = Lost(pod.pod_reason.empty() ? "PodFailed" : pod.pod_reason, pod.pod_message, now);
  } else if (pod.deleted > 0 && (gone || now >= pod.deleted + kDeletionMargin)) {
    end = Lost("Deleted", "its pod was deleted", now);
    if (known && member->state == MemberView::State::kLeft) {
      // It said so in good order; its container's end is seen a moment later, if at all.
      end->kind = EndKind::kInterrupted;
      end->reason = "Interrupted";
    }
  } else if (known && member->state == MemberView::State::kLost) {
    end = EndOfLost(*member, now);
  }
  if (!end) return end;
  BlameThePod(pod, *end);
  if (end->time <= 0) end->time = now;
  return end;
}

double RestartPause(int64_t failures) {
  return failures <= 0
             ? 0
             : std::min(300.0,
                        std::ldexp(1.0, static_cast<int>(std::min<int64_t>(failures, 20)) - 1));
}

WorkerTable::WorkerTable(const Observed& o, Accounting accounting) {
  std::set<WorkerPlace> places;
  const std::vector<WorkerPlace> wanted = DealReplicas(*o.spec);
  places.insert(wanted.begin(), wanted.end());
  for (const PodView& pod : o.pods) {
    if (pod.ours) places.insert(pod.place);
  }
  for (const GroupStatus& group : o.status.groups) {
    for (size_t i = 0; i < group.workers.size(); ++i)
      places.insert({group.name, static_cast<int64_t>(i)});
  }
  std::map<WorkerPlace, std::vector<const PodView*>> pods;
  for (const PodView& pod : o.pods) {
    if (pod.ours) pods[pod.place].push_back(&pod);
  }
  for (const WorkerPlace& place : places) {
    WorkerEntry worker;
    worker.place = place;
    worker.wanted = std::ranges::binary_search(wanted, place);
    if (const GroupStatus* group = o.status.Group(place.group);
        group != nullptr && place.index < static_cast<int64_t>(group->workers.size()))
      worker.record = group->workers[static_cast<size_t>(place.index)];
    std::vector<const PodView*>& own = pods[place];
    std::ranges::sort(own, std::greater<>(), &PodView::incarnation);
    WorkerRecord& record = worker.record;
    if (const auto seen = o.incarnations.find(place); seen != o.incarnations.end())
      record.incarnation = std::max(record.incarnation, seen->second);
    if (!own.empty()) record.incarnation = std::max(record.incarnation, own.front()->incarnation);

    // Each incarnation's end is counted once, also if several passed unseen.
    const MemberView* member = o.coordinator ? o.coordinator->Find(place) : nullptr;
    const int64_t before = record.ended;
    for (const PodView* pod : own) {
      if (pod->incarnation == record.incarnation) {
        worker.pod = pod;
      } else {
        worker.older.push_back(pod);
      }
    }
    for (int64_t i = std::max<int64_t>(before, record.incarnation - 100) + 1;
         i <= record.incarnation; ++i) {
      const auto at = std::ranges::find(own, i, &PodView::incarnation);
      std::optional<WorkerEnd> end = at == own.end() ? Vanished(o.now) : EndOf(**at, member, o.now);
      if (i == record.incarnation) worker.end = end;
      if (!end) continue;
      record.ended = i;
      if (accounting == Accounting::kForgive || !worker.wanted) continue;
      if (end->kind != EndKind::kSucceeded && end->kind != EndKind::kHopeless) ++restarts_;
      if (!Counts(end->kind)) continue;
      ++record.failures;
      record.ended_at = static_cast<int64_t>(std::floor(end->time));
    }
    worker.news = record.ended > before && worker.end.has_value();
    if (!worker.news && record.incarnation > 0 && record.ended == record.incarnation) {
      worker.end = worker.pod ? EndOf(*worker.pod, member, o.now) : Vanished(o.now);
      // What was once given up stays so, though it may have come back to life.
      if (!worker.end) worker.end = Lost("GivenUp", "", o.now);
    }
    workers_.push_back(std::move(worker));
  }
}

int64_t WorkerTable::wanted() const {
  return std::ranges::count_if(workers_, &WorkerEntry::wanted);
}
int64_t WorkerTable::ready() const {
  return std::ranges::count_if(
      workers_, [](const WorkerEntry& w) { return w.wanted && w.alive() && w.pod->ready; });
}
int64_t WorkerTable::alive() const {
  return std::ranges::count_if(workers_, &WorkerEntry::alive);
}
int64_t WorkerTable::pods() const {
  int64_t count = 0;
  for (const WorkerEntry& w : workers_)
    count += static_cast<int64_t>(w.older.size()) + (w.pod ? 1 : 0);
  return count;
}
int64_t WorkerTable::failures() const {
  int64_t count = 0;
  for (const WorkerEntry& w : workers_) count += w.record.failures;
  return count;
}

const WorkerEntry* WorkerTable::LatestFailure() const {
  const WorkerEntry* latest = nullptr;
  for (const WorkerEntry& w : workers_) {
    if (!w.news || !w.wanted || w.end->kind == EndKind::kSucceeded) continue;
    const bool worse = latest != nullptr && latest->end->kind == EndKind::kHopeless;
    if (latest == nullptr || (!worse && w.end->time >= latest->end->time) ||
        (w.end->kind == EndKind::kHopeless && !worse))
      latest = &w;
  }
  return latest;
}

void WorkerTable::Save(const TrainingJobSpec& spec, JobStatus& status) const {
  std::vector<GroupStatus> groups;
  for (const WorkerGroup& group : spec.workers) {
    const GroupStatus* before = status.Group(group.name);
    GroupStatus& after = groups.emplace_back(before ? *before : GroupStatus{});
    after.name = group.name;
    after.replicas = after.ready = 0;
  }
  for (const WorkerEntry& w : workers_) {
    const auto group = std::ranges::find(groups, w.place.group, &GroupStatus::name);
    // A group that is no longer in the spec has no worker that is still wanted.
    if (group == groups.end()) continue;
    if (w.wanted) ++group->replicas;
    if (w.wanted && w.alive() && w.pod->ready) ++group->ready;
    const auto index = static_cast<size_t>(w.place.index);
    if (index >= 1024) continue;
    if (group->workers.size() <= index) group->workers.resize(index + 1);
    group->workers[index] = w.record;
  }
  status.groups = std::move(groups);
  status.replicas = wanted();
  status.ready_replicas = ready();
}

}  // namespace longstride
