#include <algorithm>

#include "controller/reconcile/decision.h"
#include "controller/reconcile/labels.h"
#include "controller/reconcile/pod_builder.h"

namespace longstride {
namespace {

constexpr double kUnclearSeconds = 1;  // until another look, while it is not clear who is there

}  // namespace

void Decision::Delete(const PodView& pod, const std::string& why) {
  if (pod.deleted == 0) d_.remove.push_back({pod.name, pod.uid, pod.place, pod.incarnation, why});
}

void Decision::DeleteAll(const WorkerTable& workers, const std::string& why) {
  for (const WorkerEntry& worker : workers.all()) {
    if (worker.pod != nullptr) Delete(*worker.pod, why);
    for (const PodView* pod : worker.older) Delete(*pod, why);
  }
}

void Decision::RemovePods(const WorkerTable& workers) {
  const auto& view = o_.coordinator;
  for (const WorkerEntry& worker : workers.all()) {
    // The newest that has ended stays, for its log; of a worker that is still wanted.
    bool keep = worker.wanted && !(worker.pod != nullptr && worker.end);
    for (const PodView* pod : worker.older) {
      if (keep && pod->ended()) {
        keep = false;
      } else {
        Delete(*pod, "another pod has taken its place");
      }
    }
    if (worker.pod == nullptr) continue;
    if (worker.end) {
      // Its exit code may be all that tells the next leader that the job is done.
      const bool done = worker.end->kind == EndKind::kSucceeded && Completing(workers);
      if (!done && !worker.pod->ended() &&
          !MayExit(*worker.pod, static_cast<double>(worker.record.ended_at)))
        Delete(*worker.pod, worker.end->reason);
      if (!worker.wanted) Delete(*worker.pod, "the job was scaled down");
      continue;
    }
    if (worker.wanted) continue;
    // It leaves at a round boundary, once its coordinator lets it go.
    const MemberView* member = view ? view->Find(worker.place) : nullptr;
    const bool at_work = member != nullptr && member->pod_uid == worker.pod->uid &&
                         member->state <= MemberView::State::kMember;
    if (!view || view->settling) {
      // Its coordinator is hosted since this look, or its workers are still coming back: nobody may
      // say when that is over.
      RequeueAt(o_.now + kUnclearSeconds);
    } else if (!at_work) {
      Delete(*worker.pod, "the job was scaled down");
    }
  }
}

bool Decision::HasMemoryNews(const WorkerEntry& worker) const {
  if (worker.pod == nullptr || !worker.end || !worker.end->out_of_memory) return false;
  return !o_.coordinator || !o_.coordinator->memory_kills.contains(worker.pod->uid);
}

void Decision::CreatePods(const WorkerTable& workers) {
  if (o_.create_failure && o_.now < o_.create_failure->retry_at) {
    RequeueAt(o_.create_failure->retry_at);
    return;
  }
  for (const WorkerEntry& worker : workers.all()) {
    if (!worker.wanted || worker.alive()) continue;
    if (worker.record.failures > 0) {
      const double at =
          static_cast<double>(worker.record.ended_at) + RestartPause(worker.record.failures);
      if (o_.now < at) {
        RequeueAt(at);
        continue;
      }
    }
    // Its coordinator hears of it now, and then knows how much memory the next one may use.
    if (HasMemoryNews(worker)) {
      RequeueAt(o_.now);
      continue;
    }
    PodToCreate pod;
    pod.place = worker.place;
    pod.incarnation = worker.record.incarnation + 1;
    pod.name = PodName(o_.metadata.name, pod.place, pod.incarnation);
    pod.body = BuildPod(o_, pod.place, pod.incarnation);
    d_.create.push_back(std::move(pod));
  }
}

void Decision::RenewTrust() {
  const std::string& bundle = o_.defaults.ca_bundle;
  for (const PodView& pod : o_.pods) {
    if (!pod.ours || pod.ended() || pod.ca_bundle == bundle) continue;
    d_.patch.push_back(
        {pod.name, {{"metadata", {{"annotations", {{kCaBundleAnnotation, bundle}}}}}}});
  }
}

}  // namespace longstride
