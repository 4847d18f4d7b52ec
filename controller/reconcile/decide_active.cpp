#include <algorithm>

#include "controller/reconcile/decision.h"
#include "controller/reconcile/labels.h"
#include "controller/reconcile/network_policy.h"
#include "core/base/format.h"
#include "core/base/random.h"
#include "core/base/timestamps.h"

namespace longstride {
namespace {

// Once a job is complete its workers have this long to end by themselves.
constexpr double kLeaveSeconds = 30;
constexpr double kFirstRelease = 30;  // pause after the first time that a job gave up its pods
constexpr double kLastRelease = 600;

std::string ReasonOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUser:
      return "UserError";
    case ErrorCode::kData:
      return "DataError";
    case ErrorCode::kResource:
      return "ResourceError";
    case ErrorCode::kBug:
      return "Bug";
    default:
      return "WorkersLost";
  }
}

std::string WhereOf(const WorkerEntry& worker) {
  std::string text = "worker " + worker.place.Name();
  if (worker.pod == nullptr) return text;
  text += " (pod " + worker.pod->name;
  if (!worker.pod->node.empty()) text += " on node " + worker.pod->node;
  return text + ")";
}

// Uniform in [0.5, 1.5), the same for the same job and attempt.
double Jitter(const std::string& uid, int64_t attempt) {
  uint64_t word = 0;
  for (const char c : uid) word = Hash64(word, static_cast<uint64_t>(c));
  return 0.5 + UniformOf(Hash64(word, static_cast<uint64_t>(attempt)));
}

// Null: its pod's worker has not joined.
const MemberView* MemberOf(const Observed& o, const WorkerEntry& worker) {
  const MemberView* member = o.coordinator ? o.coordinator->Find(worker.place) : nullptr;
  const bool same =
      member != nullptr && worker.pod != nullptr && member->pod_uid == worker.pod->uid;
  return same ? member : nullptr;
}

}  // namespace

void Decision::Train() {
  // Pods that were told to go may have done so unseen.
  const bool anew = s_.Holds(kSuspended) || s_.retry_time > 0;
  if (s_.Holds(kSuspended)) Resume();
  s_.stop_requested = 0;
  Begin();
  if (WaitAfterRelease()) return;
  const WorkerTable workers(o_, anew ? Accounting::kForgive : Accounting::kCount);
  workers.Save(*o_.spec, s_);
  s_.restarts += workers.restarts();
  TakeProgress();
  if (!anew) TellOfEnds(workers);
  TellOfMemory(workers);
  if (EndTraining(workers)) return;
  SetTrainingConditions(workers);
  if (GiveUpStarting(workers)) return;
  OrderCoordinator(workers);
  RemovePods(workers);
  // Who joins a coordinator that has ended is sent away.
  const bool released = d_.coordinator.hosting == CoordinatorOrders::Hosting::kRelease;
  if (!Completing(workers) && !released) CreatePods(workers);
  // No pod without it, also when somebody has deleted it since it was applied.
  if (!o_.policy_applied || !d_.create.empty()) d_.network_policy = NetworkPolicyOf(o_);
}

void Decision::Begin() {
  if (s_.start_time == 0) s_.start_time = now_;
  s_.Set(kCheckpointDurable, durable(), durable() ? "Claim" : "NoStorage",
         durable() ? "checkpoints are kept in the claim " + o_.spec->checkpoint.storage->claim_name
                   : "no checkpoints are written; give spec.checkpoint.storage a claim",
         now_);
  if (s_.Find(kSuspended) == nullptr) {
    s_.Set(kSuspended, false, "NotSuspended", "", now_);
    s_.Set(kProfiled, false, "NotProfiled", "the workers have not measured their speed yet", now_);
    s_.Set(kRestarting, false, "NotRestarting", "", now_);
  }
}

bool Decision::WaitAfterRelease() {
  if (s_.retry_time == 0) return false;
  const WorkerTable workers(o_, Accounting::kForgive);
  if (o_.now >= s_.retry_time && workers.alive() == 0) {
    s_.retry_time = 0;
    s_.waiting_since = now_;
    return false;
  }
  workers.Save(*o_.spec, s_);
  DeleteAll(workers, "too few workers could start");
  d_.coordinator.hosting = CoordinatorOrders::Hosting::kRelease;
  RequeueAt(std::max(s_.retry_time, o_.now + 1));
  return true;
}

void Decision::TakeProgress() {
  if (!o_.coordinator) return;
  const CoordinatorView& view = *o_.coordinator;
  if (view.progress) {
    if (view.progress->round < s_.progress.round && view.progress->samples < s_.progress.samples) {
      const int64_t lost = s_.progress.samples - view.progress->samples;
      s_.discarded_samples += lost;
      Note(true, "ProgressDiscarded",
           Format("all who held the state were lost: training goes on from round %lld, and %s "
                  "samples are trained on again",
                  static_cast<long long>(view.progress->round), FormatCount(lost).c_str()));
    }
    s_.progress = *view.progress;
  }
  if (view.checkpoint) s_.last_checkpoint = view.checkpoint;
  for (const GroupProfile& profile : view.profiles) {
    GroupStatus* group = s_.Group(profile.group);
    if (group == nullptr) continue;
    group->alpha = profile.alpha;
    group->beta = profile.beta;
    group->micro_batch_cap = profile.micro_batch_cap;
    group->share = profile.share;
  }
}

void Decision::TellOfEnds(const WorkerTable& workers) {
  constexpr int kMostEvents = 4;
  int told = 0;
  for (const WorkerEntry& worker : workers.all()) {
    if (!worker.news) continue;
    const WorkerEnd& end = *worker.end;
    const MemberView* member = MemberOf(o_, worker);
    if (member != nullptr && member->state <= MemberView::State::kMember && !end.out_of_memory) {
      d_.coordinator.exits.push_back({worker.place, worker.pod->uid,
                                      end.exit_code >= 0 ? static_cast<int>(end.exit_code) : 137,
                                      end.reason + ": " + end.message, true, false});
    }
    if (!worker.wanted || worker.end->kind == EndKind::kSucceeded || ++told > kMostEvents) continue;
    const bool disrupted = worker.end->kind == EndKind::kDisrupted;
    Note(!disrupted, disrupted ? "WorkerDisrupted" : "WorkerEnded",
         WhereOf(worker) + ": " + worker.end->reason + ", " + worker.end->message);
  }
  if (const WorkerEntry* latest = workers.LatestFailure()) {
    LastFailure& failure = s_.last_failure.emplace();
    failure.worker = latest->place.Name();
    failure.pod = latest->pod != nullptr ? latest->pod->name : "";
    failure.node = latest->pod != nullptr ? latest->pod->node : "";
    failure.reason = latest->end->reason;
    failure.exit_code = latest->end->exit_code;
    failure.message = latest->end->message;
    failure.time = latest->end->time;
  }
}

// Also of workers that it has given up before the kill was seen, or that never joined, and also a
// coordinator that is new to the job.
void Decision::TellOfMemory(const WorkerTable& workers) {
  for (const WorkerEntry& worker : workers.all()) {
    if (!HasMemoryNews(worker)) continue;
    d_.coordinator.exits.push_back(
        {worker.place, worker.pod->uid, static_cast<int>(worker.end->exit_code),
         "its container was killed", MemberOf(o_, worker) != nullptr, true});
  }
}

bool Decision::Completing(const WorkerTable& workers) const {
  if (o_.coordinator &&
      (o_.coordinator->completing ||
       (o_.coordinator->end && o_.coordinator->end->outcome == JobOutcome::kCompleted)))
    return true;
  // A coordinator that has members knows better: a worker that was let go also ends with 0.
  if (o_.coordinator && o_.coordinator->training() > 0) return false;
  return std::ranges::any_of(workers.all(), [](const WorkerEntry& w) {
    return w.wanted && w.end && w.end->kind == EndKind::kSucceeded && w.pod != nullptr;
  });
}

bool Decision::EndTraining(const WorkerTable& workers) {
  const std::optional<JobEnd> end = o_.coordinator ? o_.coordinator->end : std::nullopt;
  if (Completing(workers)) {
    const double hurry = end ? o_.coordinator->ended_at + kLeaveSeconds : 0;
    if (workers.alive() > 0 && (hurry == 0 || o_.now < hurry)) {
      if (hurry > 0) RequeueAt(hurry);
      return false;
    }
    const std::string reached =
        s_.progress.accuracy ? Format(", accuracy %.4f", *s_.progress.accuracy) : "";
    Complete(Format("trained on %s samples in %lld rounds%s",
                    FormatCount(s_.progress.samples).c_str(),
                    static_cast<long long>(s_.progress.round), reached.c_str()));
    return true;
  }
  for (const WorkerEntry& worker : workers.all()) {
    if (!worker.wanted || !worker.news || worker.end->kind != EndKind::kHopeless) continue;
    Fail(worker.end->reason, WhereOf(worker) + ": " + worker.end->message);
    return true;
  }
  if (end && end->outcome == JobOutcome::kFailed) {
    Fail(ReasonOf(end->code), end->reason);
    return true;
  }
  const RunPolicy& policy = o_.spec->run_policy;
  if (const int64_t deadline = policy.active_deadline_seconds;
      deadline > 0 && s_.start_time > 0 && !policy.suspend) {
    const double at = s_.start_time + static_cast<double>(deadline);
    if (o_.now >= at) {
      Fail("DeadlineExceeded", Format("runPolicy.activeDeadlineSeconds (%lld) have passed",
                                      static_cast<long long>(deadline)));
      return true;
    }
    RequeueAt(at);
  }
  const std::string last = s_.last_failure
                               ? "; the last was worker " + s_.last_failure->worker + ": " +
                                     s_.last_failure->reason + ", " + s_.last_failure->message
                               : "";
  if (workers.failures() > policy.backoff_limit) {
    Fail("BackoffLimitExceeded",
         Format("workers failed %lld times, and runPolicy.backoffLimit allows %lld%s",
                static_cast<long long>(workers.failures()),
                static_cast<long long>(policy.backoff_limit), last.c_str()));
    return true;
  }
  for (const WorkerEntry& worker : workers.all()) {
    if (policy.backoff_limit_per_worker == 0 ||
        worker.record.failures <= policy.backoff_limit_per_worker)
      continue;
    Fail("BackoffLimitExceeded",
         Format("worker %s failed %lld times, and runPolicy.backoffLimitPerWorker allows %lld%s",
                worker.place.Name().c_str(), static_cast<long long>(worker.record.failures),
                static_cast<long long>(policy.backoff_limit_per_worker), last.c_str()));
    return true;
  }
  // The API server will say the same to every further pod of this template.
  if (const auto& failure = o_.create_failure; failure && failure->template_fault) {
    const auto group =
        std::ranges::find(o_.spec->workers, failure->place.group, &WorkerGroup::name);
    const auto at = static_cast<long long>(group - o_.spec->workers.begin());
    Fail("InvalidPodTemplate",
         Format("spec.workers[%lld].template%s%s: %s", at, failure->field.empty() ? "" : ".",
                failure->field.c_str(), failure->message.c_str()));
    return true;
  }
  return false;
}

bool Decision::GiveUpStarting(const WorkerTable& workers) {
  if (s_.Holds(kRunning)) {
    s_.waiting_since = 0;
    return false;
  }
  if (s_.waiting_since == 0) s_.waiting_since = now_;
  const int64_t timeout = o_.spec->run_policy.start_timeout_seconds;
  if (timeout == 0 || Completing(workers)) return false;
  const double at = s_.waiting_since + static_cast<double>(timeout);
  if (o_.now < at) {
    RequeueAt(at);
    return false;
  }
  if (!o_.coordinator || o_.coordinator->settling) {
    OrderCoordinator(workers);  // who is there will show
    RequeueAt(o_.now + 1);
    return true;
  }
  // Survivors hold the state, and with it all that was trained if no checkpoint is durable.
  const bool hold_state = o_.coordinator->generation > 0 && o_.coordinator->present() > 0;
  if (hold_state && !(durable() && s_.last_checkpoint)) return false;
  const int64_t least = BoundsOf(*o_.spec).least;
  if (o_.coordinator->present() >= least) return false;
  const JobCondition why = WhyNotRunning(workers);
  const double pause = std::min(
      kLastRelease,
      kFirstRelease * static_cast<double>(int64_t{1} << std::min<int64_t>(s_.start_attempts, 10)));
  ++s_.start_attempts;
  s_.retry_time = now_ + std::ceil(pause * Jitter(o_.uid, s_.start_attempts));
  s_.waiting_since = 0;
  const std::string message = Format(
      "fewer than %lld workers could start within runPolicy.startTimeoutSeconds (%lld): %s; "
      "all pods are given up, and made anew at %s",
      static_cast<long long>(least), static_cast<long long>(timeout), why.message.c_str(),
      FormatTime(s_.retry_time).c_str());
  s_.Set(kRunning, false, "StartTimeout", message, now_);
  s_.Set(kRestarting, false, "StartTimeout", "", now_);
  Note(true, "StartTimeout", message);
  if (hold_state) FallBackToCheckpoint();
  d_.status_first = true;
  DeleteAll(workers, "too few workers could start");
  d_.coordinator.hosting = CoordinatorOrders::Hosting::kRelease;
  RequeueAt(s_.retry_time);
  return true;
}

void Decision::OrderCoordinator(const WorkerTable& workers) {
  using Hosting = CoordinatorOrders::Hosting;
  d_.coordinator.hosting = Hosting::kHost;
  if (!o_.coordinator) return;
  if (o_.coordinator->end && !Completing(workers)) {
    // Everyone was told to leave, by a drain of all nodes perhaps. A coordinator ends once; the
    // next look hosts another.
    d_.coordinator.hosting = Hosting::kRelease;
    RequeueAt(o_.now);
  } else if (!o_.coordinator->end && o_.coordinator->wanted != o_.spec->replicas) {
    d_.coordinator.replicas = o_.spec->replicas;
    Note(false, "Scaled", Format("to %lld workers", static_cast<long long>(o_.spec->replicas)));
  }
}

}  // namespace longstride
