#include <algorithm>

#include "controller/reconcile/decision.h"
#include "core/base/format.h"

namespace longstride {
namespace {

bool IsPullFault(const std::string& reason) {
  return reason == "ErrImagePull" || reason == "ImagePullBackOff";
}

JobCondition Because(std::string reason, std::string message) {
  return {kRunning, false, std::move(reason), std::move(message), 0};
}

JobCondition OfCreateFailure(const CreateFailure& failure) {
  if (failure.quota) return Because("QuotaExceeded", failure.message);
  if (failure.forbidden) return Because("PodForbidden", failure.message);
  if (failure.http_status == 409) {
    return Because("NameConflict", "a pod named " + failure.pod +
                                       " exists and is not this job's; delete or rename it");
  }
  return Because("CreateFailed", failure.message);
}

}  // namespace

void Decision::SetTrainingConditions(const WorkerTable& workers) {
  SetRunning(workers);
  const auto& view = o_.coordinator;
  if (view && !view->profiles.empty() && !s_.Holds(kProfiled)) {
    s_.Set(kProfiled, true, "Profiled", "every group's speed and memory are known", now_);
  }
  if (!view || view->settling) return;  // what was known still holds
  std::string names;
  for (const WorkerEntry& worker : workers.all()) {
    const MemberView* member = view->Find(worker.place);
    const bool trains =
        worker.alive() && member != nullptr && member->state == MemberView::State::kMember;
    if (!worker.wanted || trains || worker.record.ended == 0 || view->generation == 0) continue;
    names += (names.empty() ? "" : ", ") + worker.place.Name();
  }
  const bool restarting = !names.empty() && !Completing(workers);
  s_.Set(kRestarting, restarting, restarting ? "WorkersReplaced" : "NotRestarting",
         restarting ? "started anew: " + names : "", now_);
}

void Decision::SetRunning(const WorkerTable& workers) {
  const auto& view = o_.coordinator;
  const bool unclear = !view || view->settling;
  if (unclear && s_.Holds(kRunning) && workers.alive() > 0) return;
  const bool was = s_.Holds(kRunning);
  if (!unclear && view->generation > 0 && view->training() > 0) {
    const std::string message =
        Format("%lld workers train", static_cast<long long>(view->training()));
    s_.Set(kRunning, true, "Training", message, now_);
    if (!was) Note(false, "Started", message);
    return;
  }
  if (was && Completing(workers)) return;  // the last workers are about to end
  const JobCondition why = WhyNotRunning(workers);
  const JobCondition* before = s_.Find(kRunning);
  const bool fault = why.reason != "Starting" && why.reason != "WaitingForWorkers";
  if (fault && (before == nullptr || before->reason != why.reason))
    Note(true, why.reason, why.message);
  // The kubelet alternates between the fault and its back-off: what was said first says more.
  const bool same =
      before != nullptr && before->reason == "ImagePullFailed" && before->reason == why.reason;
  s_.Set(kRunning, false, why.reason, same ? std::string(before->message) : why.message, now_);
}

JobCondition Decision::WhyNotRunning(const WorkerTable& workers) const {
  if (o_.create_failure) return OfCreateFailure(*o_.create_failure);
  const WorkerEntry* unscheduled = nullptr;
  for (const WorkerEntry& worker : workers.all()) {
    if (!worker.wanted || !worker.alive()) continue;
    if (worker.pod->worker == PodView::Container::kWaiting &&
        IsWaitingFault(worker.pod->worker_reason)) {
      const std::string& reason = worker.pod->worker_reason;
      return Because(IsPullFault(reason) ? "ImagePullFailed" : reason,
                     "pod " + worker.pod->name + ": " + worker.pod->worker_message);
    }
    if (unscheduled == nullptr && !worker.pod->unscheduled_reason.empty()) unscheduled = &worker;
  }
  if (unscheduled != nullptr) {
    return Because(unscheduled->pod->unscheduled_reason,
                   "pod " + unscheduled->pod->name + ": " + unscheduled->pod->unscheduled_message);
  }
  if (o_.coordinator && o_.coordinator->generation > 0) {
    return Because("WaitingForWorkers", Format("training goes on once %lld workers are there",
                                               static_cast<long long>(BoundsOf(*o_.spec).least)));
  }
  return Because("Starting", "the workers' pods start, and measure their speed");
}

}  // namespace longstride
