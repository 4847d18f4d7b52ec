#include <algorithm>
#include <optional>
#include <string>

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

// Of OfCreateFailure.
bool IsRefusal(const std::string& reason) {
  return reason == "QuotaExceeded" || reason == "NameConflict" || reason == "PodForbidden" ||
         reason == "CreateFailed";
}

// Unlike what every start takes.
bool IsFault(const JobCondition& why) {
  return why.reason != "Starting" && why.reason != "WaitingForWorkers";
}

// While others train, what keeps a worker away stands at the end of a message: "4 workers train;
// QuotaExceeded: ...". What is before it has no semicolon.
std::string MarkOf(const std::string& reason) {
  return "; " + reason + ": ";
}

// What was last said of a fault, by this leader or one before it; nothing if it is news.
std::optional<std::string> LastSaid(const JobStatus& status, const std::string& reason) {
  const std::string mark = MarkOf(reason);
  for (const char* type : {kRunning, kRestarting}) {
    const JobCondition* condition = status.Find(type);
    if (condition == nullptr) continue;
    const std::string& message = condition->message;
    if (!condition->holds && condition->reason == reason) return message;
    const size_t at = condition->holds ? message.find(';') : std::string::npos;
    if (at != std::string::npos && message.compare(at, mark.size(), mark) == 0)
      return message.substr(at + mark.size());
  }
  return std::nullopt;
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
  TellOfMissing(workers);
}

void Decision::TellOfMissing(const WorkerTable& workers) {
  if (!s_.Holds(kRunning) || Completing(workers) || workers.ready() >= workers.wanted()) return;
  const JobCondition why = TellWhy(workers);
  if (!IsFault(why)) return;
  const JobCondition said = *s_.Find(s_.Holds(kRestarting) ? kRestarting : kRunning);
  s_.Set(said.type, true, said.reason, said.message + MarkOf(why.reason) + why.message, now_);
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
  const JobCondition why = TellWhy(workers);
  s_.Set(kRunning, false, why.reason, why.message, now_);
}

JobCondition Decision::TellWhy(const WorkerTable& workers) {
  JobCondition why = WhyNotRunning(workers);
  if (!IsFault(why)) return why;
  const std::optional<std::string> said = LastSaid(o_.status, why.reason);
  if (!said) Note(true, why.reason, why.message);
  // The kubelet alternates between the fault and its back-off: what was said first says more.
  if (said && why.reason == "ImagePullFailed") why.message = *said;
  return why;
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
  // A new leader has asked for no pod yet: what was refused to the one before it may still be.
  if (const JobCondition* before = o_.status.Find(kRunning);
      !o_.coordinator && before != nullptr && IsRefusal(before->reason))
    return *before;
  if (o_.coordinator && o_.coordinator->generation > 0) {
    return Because("WaitingForWorkers", Format("training goes on once %lld workers are there",
                                               static_cast<long long>(BoundsOf(*o_.spec).least)));
  }
  return Because("Starting", "the workers' pods start, and measure their speed");
}

}  // namespace longstride
