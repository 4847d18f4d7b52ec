#include <algorithm>

#include "controller/reconcile/decision.h"
#include "controller/reconcile/spec_hash.h"
#include "core/base/format.h"

namespace longstride {
namespace {

// For the rest of a round and a checkpoint, when neither was measured, and on top of what was.
constexpr double kLeastGrace = 60;

double GraceSeconds(const Observed& o) {
  const int64_t given = o.spec->run_policy.suspend_grace_seconds;
  if (given > 0) return static_cast<double>(given);
  double grace = kLeastGrace;
  if (o.coordinator)
    grace += 2 * o.coordinator->round_seconds + 3 * o.coordinator->checkpoint_seconds;
  return grace;
}

}  // namespace

void Decision::Suspend() {
  const WorkerTable workers(o_, Accounting::kForgive);
  workers.Save(*o_.spec, s_);
  TakeProgress();
  if (EndTraining(workers)) return;
  if (workers.pods() == 0) {
    if (!s_.Holds(kSuspended)) {
      const std::string message =
          durable() || s_.progress.round == 0
              ? std::string("all pods are gone; runPolicy.suspend: false goes on")
              : Format(
                    "all pods are gone, and with them %s trained samples: there is no "
                    "spec.checkpoint.storage",
                    FormatCount(s_.progress.samples).c_str());
      s_.Set(kSuspended, true, "Suspended", message, now_);
      Note(false, "Suspended", message);
    }
    s_.Set(kRunning, false, "Suspended", "the job is suspended", now_);
    s_.Set(kRestarting, false, "Suspended", "", now_);
    s_.stop_requested = s_.start_time = s_.waiting_since = s_.retry_time = 0;
    d_.coordinator.hosting = CoordinatorOrders::Hosting::kRelease;
    return;
  }
  if (s_.stop_requested == 0) {
    s_.stop_requested = now_;
    s_.waiting_since = s_.retry_time = 0;
    Note(false, "Suspending",
         durable() ? "workers end their round and write a checkpoint" : "workers end their round");
  }
  const bool told = workers.alive() > 0 && o_.coordinator && !o_.coordinator->end &&
                    (o_.coordinator->settling || o_.coordinator->present() > 0);
  const double deadline = s_.stop_requested + GraceSeconds(o_);
  // After a change of leaders there may be workers that nobody has told yet.
  const bool unhosted = workers.alive() > 0 && !o_.coordinator && s_.Holds(kRunning);
  if ((told || unhosted) && o_.now < deadline) {
    d_.coordinator.hosting = CoordinatorOrders::Hosting::kHost;
    d_.coordinator.stop = "the job is suspended";
    RequeueAt(deadline);
    return;
  }
  if (o_.coordinator && o_.coordinator->training() == 0)
    s_.Set(kRunning, false, "Suspending", "the job is being suspended", now_);
  DeleteAll(workers, "the job is suspended");
}

bool Decision::HasPodsOfFormerSpec() {
  const std::string hash = SpecHash(*o_.spec);
  const bool edited = o_.generation != o_.status.observed_generation;
  const bool stopping = s_.stop_requested > 0;
  const bool changed = !s_.spec_hash.empty() && s_.spec_hash != hash;
  // Neither edited nor stopping: another release of the operator hashes the same spec otherwise.
  const bool former = changed && (stopping || (edited && !o_.pods.empty()));
  if (!former) {
    s_.spec_hash = hash;
    return false;
  }
  if (edited) {
    Note(false, "SpecChanged",
         "the spec was edited before the job's suspension had stopped its workers: they end, and "
         "new ones start with the new spec");
  }
  RequeueAt(o_.now + 1);
  return true;
}

void Decision::Resume() {
  s_.Set(kSuspended, false, "Resumed", "runPolicy.suspend is false again", now_);
  Note(false, "Resumed", "new pods are made");
  FallBackToCheckpoint();
}

void Decision::FallBackToCheckpoint() {
  const CheckpointRecord keep =
      durable() && s_.last_checkpoint ? *s_.last_checkpoint : CheckpointRecord{};
  const int64_t lost = s_.progress.samples - keep.samples;
  if (!durable()) s_.last_checkpoint.reset();
  if (lost <= 0) return;
  s_.discarded_samples += lost;
  Note(true, "ProgressDiscarded",
       Format("%s samples of training are lost with the pods: it goes on after round %lld%s",
              FormatCount(lost).c_str(), static_cast<long long>(keep.round),
              durable() ? "" : "; give spec.checkpoint.storage to keep checkpoints"));
  // What it took stays counted.
  const int64_t bytes_sent = s_.progress.bytes_sent;
  const JobTotals totals = s_.progress.totals;
  if (keep.round == 0) s_.progress = {};
  s_.progress.bytes_sent = bytes_sent;
  s_.progress.totals = totals;
  s_.progress.round = keep.round;
  s_.progress.samples = keep.samples;
}

}  // namespace longstride
