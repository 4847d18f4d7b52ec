#include "controller/reconcile/decide.h"

#include <algorithm>
#include <cmath>

#include "controller/reconcile/decision.h"
#include "controller/reconcile/labels.h"
#include "core/base/format.h"

namespace longstride {

Decision::Decision(const Observed& observed)
    : o_(observed), now_(std::floor(observed.now)), s_(observed.status) {}

Desired Decision::Run() {
  s_.observed_generation = o_.generation;
  s_.selector = JobSelector(o_.metadata.name);
  if (s_.finished()) {
    TakeProgress();  // workers may finish a round after their job has failed
    AfterTheEnd();
  } else if (!o_.spec) {
    Fail("InvalidSpec", o_.spec_faults);
  } else if (o_.spec->run_policy.suspend || HasPodsOfFormerSpec()) {
    Suspend();
  } else {
    Train();
  }
  RenewTrust();
  s_.state = State();
  // As it will be read again, so that a difference is one.
  d_.status = StatusFromJson(ToJson(s_));
  return std::move(d_);
}

std::string Decision::State() const {
  if (s_.Holds(kComplete)) return "Complete";
  if (s_.Holds(kFailed)) return "Failed";
  if (s_.Holds(kSuspended)) return "Suspended";
  if (s_.stop_requested > 0) return "Suspending";
  if (s_.Holds(kRestarting)) return "Restarting";
  if (s_.Holds(kRunning)) return "Running";
  if (s_.retry_time > 0) return "Waiting";
  return s_.start_time > 0 ? "Starting" : "Pending";
}

void Decision::Note(bool warning, const std::string& reason, const std::string& message) {
  d_.events.push_back({warning, reason, message});
}

void Decision::RequeueAt(double unix_seconds) {
  d_.requeue_at = d_.requeue_at > 0 ? std::min(d_.requeue_at, unix_seconds) : unix_seconds;
}

void RecordCreated(size_t made, Desired& desired) {
  constexpr size_t kMostNames = 4;
  made = std::min(made, desired.create.size());
  if (made == 0 || !desired.status) return;
  std::string names;
  for (size_t i = 0; i < made; ++i) {
    const PodToCreate& pod = desired.create[i];
    if (i < kMostNames) names += (i > 0 ? ", " : "") + pod.name;
    if (GroupStatus* group = desired.status->Group(pod.place.group)) {
      const auto index = static_cast<size_t>(pod.place.index);
      if (group->workers.size() <= index) group->workers.resize(index + 1);
      group->workers[index].incarnation =
          std::max(group->workers[index].incarnation, pod.incarnation);
    }
  }
  if (made > kMostNames) names += Format(" and %zu more", made - kMostNames);
  desired.events.push_back({false, "Created", Format("%zu pods: %s", made, names.c_str())});
}

Desired Decide(const Observed& observed) {
  const bool ours = observed.managed_by.empty() || observed.managed_by == kControllerName;
  if (!ours || observed.deleting) {
    // Another controller's, or the garbage collector's: it deletes what the job owns.
    Desired nothing;
    nothing.coordinator.hosting = CoordinatorOrders::Hosting::kRelease;
    return nothing;
  }
  return Decision(observed).Run();
}

}  // namespace longstride
