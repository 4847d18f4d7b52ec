#include <algorithm>

#include "controller/reconcile/decision.h"

namespace longstride {
namespace {

// From a worker's last word to its end.
constexpr double kExitSeconds = 10;

}  // namespace

void Decision::Complete(const std::string& message) {
  s_.Set(kComplete, true, "Completed", message, now_);
  s_.completion_time = now_;
  s_.waiting_since = s_.retry_time = s_.stop_requested = 0;
  s_.Set(kRunning, false, "Completed", message, now_);
  s_.Set(kRestarting, false, "Completed", "", now_);
  Note(false, "Completed", message);
  d_.status_first = true;
  AfterTheEnd();
}

void Decision::Fail(const std::string& reason, const std::string& message) {
  s_.Set(kFailed, true, reason, message, now_);
  s_.completion_time = now_;
  s_.waiting_since = s_.retry_time = s_.stop_requested = 0;
  s_.Set(kRunning, false, reason, message, now_);
  s_.Set(kRestarting, false, reason, "", now_);
  Note(true, reason, message);
  d_.status_first = true;
  // Workers that still train stop at the next round boundary, with a checkpoint.
  if (o_.coordinator && !o_.coordinator->end) d_.coordinator.stop = "the job failed: " + message;
  AfterTheEnd();
}

bool Decision::MayExit(const PodView& pod, double since) {
  const MemberView* member = o_.coordinator ? o_.coordinator->Find(pod.place) : nullptr;
  if (member == nullptr || member->pod_uid != pod.uid) return false;
  if (member->state != MemberView::State::kLost || member->code == ErrorCode::kLostPeer)
    return false;
  if (pod.worker == PodView::Container::kTerminated || o_.now >= since + kExitSeconds) return false;
  RequeueAt(since + kExitSeconds);
  return true;
}

void Decision::AfterTheEnd() {
  const CleanPodPolicy policy =
      o_.spec ? o_.spec->run_policy.clean_pod_policy : CleanPodPolicy::kRunning;
  bool at_work = false;
  s_.ready_replicas = 0;
  for (GroupStatus& group : s_.groups) group.ready = 0;
  for (const PodView& pod : o_.pods) {
    if (!pod.ours) continue;
    at_work = at_work || (!pod.terminal() && pod.worker != PodView::Container::kTerminated);
    if (policy == CleanPodPolicy::kAll ||
        (policy == CleanPodPolicy::kRunning && !pod.ended() && !MayExit(pod, s_.completion_time)))
      Delete(pod, "the job has ended");
  }
  if (!at_work) d_.coordinator.hosting = CoordinatorOrders::Hosting::kRelease;
  const int64_t ttl = o_.spec ? o_.spec->run_policy.ttl_seconds_after_finished : -1;
  if (ttl < 0) return;
  const double at = s_.completion_time + static_cast<double>(ttl);
  d_.delete_job = o_.now >= at;
  if (!d_.delete_job) RequeueAt(at);
}

}  // namespace longstride
