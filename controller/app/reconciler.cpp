#include "controller/app/reconciler.h"

#include <algorithm>
#include <initializer_list>

#include "controller/app/objects.h"
#include "controller/reconcile/decide.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "core/spec/parse.h"

namespace longstride {
namespace {

using kube::ApiReason;
using nlohmann::json;

constexpr Duration kCallDeadline = std::chrono::seconds(15);
// By which the API server's clock may be ahead of ours.
constexpr double kClockSkew = 5;

ReconcileResult ResultOf(const kube::Outcome& outcome) {
  switch (outcome.kind) {
    case kube::Outcome::Kind::kDone:
      return ReconcileResult::kSuccess;
    case kube::Outcome::Kind::kAfter:
      return ReconcileResult::kRequeueAfter;
    case kube::Outcome::Kind::kRetry:
    case kube::Outcome::Kind::kTerminal:
      break;
  }
  return ReconcileResult::kError;
}

// What an old spec or status, as a new leader's cache may have it, must not lead to.
bool CannotBeTakenBack(const Observed& o, const Desired& desired) {
  const CoordinatorOrders& orders = desired.coordinator;
  const bool hosts = orders.hosting == CoordinatorOrders::Hosting::kHost && !o.coordinator;
  return !desired.create.empty() || !desired.remove.empty() || hosts || !orders.stop.empty() ||
         desired.delete_job;
}

// The shortest that is one; zero when none is.
Duration Soonest(std::initializer_list<Duration> waits) {
  Duration soonest{};
  for (const Duration wait : waits) {
    if (wait <= Duration::zero()) continue;
    soonest = soonest > Duration::zero() ? std::min(soonest, wait) : wait;
  }
  return soonest;
}

}  // namespace

Reconciler::Reconciler(ReconcilerOptions options, kube::Client& client, const kube::Cache& jobs,
                       const kube::Cache& pods, JobHosts& hosts, kube::EventRecorder& recorder,
                       const Clock& clock)
    : options_(std::move(options)),
      client_(client),
      jobs_(jobs),
      pods_(pods),
      hosts_(hosts),
      recorder_(recorder),
      clock_(clock),
      began_(clock_.UnixSeconds()),
      progress_(options_.progress_period, options_.progress_writes_per_second) {}

std::map<kube::ObjectKey, JobStatus> Reconciler::Statuses() const {
  const std::lock_guard lock(mutex_);
  return statuses_;
}

kube::Outcome Reconciler::Forget(const kube::ObjectKey& key) {
  hosts_.Forget({key.namespace_, key.name});
  const std::lock_guard lock(mutex_);
  memories_.erase(key);
  statuses_.erase(key);
  return kube::Outcome::Done();
}

Reconciler::Memory& Reconciler::Remember(const kube::ObjectKey& key, const std::string& uid) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Memory>& memory = memories_[key];
  // A job of the same name that was deleted and made again is another.
  if (!memory || memory->uid != uid) memory = std::make_unique<Memory>();
  memory->uid = uid;
  return *memory;
}

kube::Outcome Reconciler::Reconcile(const kube::ObjectKey& key, const std::stop_token& stop) {
  const TimePoint began = clock_.Now();
  times_.Begin();
  const kube::Outcome outcome = Look(key, stop);
  times_.End(clock_.Now() - began, ResultOf(outcome),
             outcome.kind == kube::Outcome::Kind::kTerminal);
  return outcome;
}

kube::Outcome Reconciler::Look(const kube::ObjectKey& key, const std::stop_token& stop) {
  const kube::ObjectPtr cached = jobs_.Find(key);
  if (!cached) return Forget(key);
  Memory& memory = Remember(key, cached->uid);
  const json& job = !memory.written.is_null() && IsNewer(kube::ResourceVersionOf(memory.written),
                                                         cached->resource_version)
                        ? memory.written
                        : cached->value;
  const kube::CallOptions call{kCallDeadline, stop};
  const std::optional<Observed> observed = Observe(job, memory, call);
  if (!observed) return kube::Outcome::Retry();
  const Observed& o = *observed;
  Desired desired = Decide(o);
  if (!memory.certain && CannotBeTakenBack(o, desired)) {
    memory.certain = ReadAnew(key, memory, call);
    return memory.certain ? Look(key, stop) : kube::Outcome::Retry();
  }
  return CarryOut(key, job, o, desired, memory, call);
}

kube::Outcome Reconciler::CarryOut(const kube::ObjectKey& key, const json& job, const Observed& o,
                                   Desired& desired, Memory& memory,
                                   const kube::CallOptions& call) {
  // Pods need to trust their coordinator, and one to join. One that is let go is so once what it
  // knows last has been written, and workers are told that their job has ended once that stands:
  // the spec that says so may be an old one.
  const bool release = desired.coordinator.hosting == CoordinatorOrders::Hosting::kRelease;
  const bool order_last = release || desired.status_first;
  bool done = PatchPods(o, desired.patch, memory, call);
  done = (order_last || OrderCoordinator(o, desired)) && done;
  done = ApplyPolicy(o, desired.network_policy, memory, call) && done;
  const std::vector<PodToDelete> postponed = TakePostponed(o, desired);
  done = RemovePods(o, desired.remove, memory, call) && done;
  done = CreatePods(o, desired, memory, call) && done;
  Duration progress_wait{};
  if (desired.status) {
    const auto wait = WriteStatus(job, o, *desired.status, /*at_once=*/release, memory, call);
    if (!wait.ok()) {
      const ApiReason reason = wait.error().reason;
      if (reason == ApiReason::kNotFound) return kube::Outcome::Done();
      LogWarning("reconcile", key.Text() + ": " + wait.error().message);
      // Somebody wrote before us: what was decided is decided again.
      if (reason == ApiReason::kConflict) ReadAnew(key, memory, call);
      if (IsRefusedForGood(wait.error())) {
        RemovePods(o, postponed, memory, call);  // their machines are worth more than their names
        // An attempt that is given up stays so only with its coordinator.
        const bool attempt = desired.status_first && !desired.status->finished();
        if (order_last && !attempt) OrderCoordinator(o, desired);
      }
      return kube::Outcome::Retry();
    }
    progress_wait = *wait;
    const std::lock_guard lock(mutex_);
    statuses_[key] = *desired.status;
  }
  if (order_last) done = OrderCoordinator(o, desired) && done;
  RecordEvents(o, desired);
  if (desired.delete_job) {
    kube::DeleteOptions options;
    options.uid = memory.uid;
    const auto deleted = client_.Delete(kube::TrainingJobs(), key, options, call);
    done = (deleted.ok() || deleted.error().reason == ApiReason::kNotFound) && done;
  }
  const Duration again = postponed.empty() ? Duration{} : std::chrono::milliseconds(1);
  const Duration wait = Soonest({progress_wait, again, NextLook(desired, memory)});
  if (!done) return kube::Outcome::Retry(wait);
  return wait > Duration::zero() ? kube::Outcome::After(wait) : kube::Outcome::Done();
}

bool Reconciler::OrderCoordinator(const Observed& o, const Desired& desired) {
  const JobKey key{o.metadata.namespace_, o.metadata.name};
  const Status carried = hosts_.Carry(key, o, desired.coordinator);
  if (!carried.ok())
    LogWarning("reconcile", key.namespace_ + "/" + key.name + ": " + carried.error().message);
  return carried.ok();
}

Duration Reconciler::NextLook(const Desired& desired, const Memory& memory) const {
  Duration requeue{};
  if (desired.requeue_at > 0)
    requeue = FromSeconds(std::max(0.001, desired.requeue_at - clock_.UnixSeconds()));
  // No event tells of a pod that is gone before the cache has shown it.
  const Duration unseen = memory.made.empty() ? Duration{} : options_.unseen;
  Duration patch{};
  for (const auto& [pod, patched] : memory.patched) {
    if (patched.refused) patch = kPatchAgain;
  }
  return Soonest({requeue, unseen, patch});
}

std::optional<Observed> Reconciler::Observe(const json& job, Memory& memory,
                                            const kube::CallOptions& call) {
  Observed o;
  o.uid = memory.uid;
  o.now = clock_.UnixSeconds();
  const json& generation = kube::ValueAt(job, "/metadata/generation");
  o.generation = generation.is_number_integer() ? generation.get<int64_t>() : 0;
  o.deleting = !kube::StringAt(job, "/metadata/deletionTimestamp").empty();
  o.managed_by = kube::StringAt(job, "/spec/runPolicy/managedBy");
  o.status = StatusFromJson(kube::ValueAt(job, "/status"));
  memory.certain = memory.certain || FromTime(kube::StringAt(job, "/metadata/creationTimestamp")) >
                                         began_ + kClockSkew;
  if (memory.parsed_generation != o.generation) {
    json manifest = {{"apiVersion", kApiVersion}, {"kind", kKind}};
    manifest["metadata"] = {{"name", kube::StringAt(job, "/metadata/name")},
                            {"namespace", kube::StringAt(job, "/metadata/namespace")}};
    manifest["spec"] = kube::ValueAt(job, "/spec");
    ParsedJob parsed = ParseTrainingJobJson(manifest, "", {}, /*started=*/o.status.start_time > 0);
    memory.parsed_generation = o.generation;
    memory.metadata.name = kube::StringAt(job, "/metadata/name");
    memory.metadata.namespace_ = kube::StringAt(job, "/metadata/namespace");
    memory.spec = parsed.ok() ? std::optional(std::move(parsed.job->spec)) : std::nullopt;
    memory.faults = parsed.ok() ? "" : ToError(parsed.faults).message;
    memory.create_failure.reset();  // it may be mended
  }
  o.metadata = memory.metadata;
  o.spec = memory.spec;
  o.spec_faults = memory.faults;
  o.defaults = options_.defaults;
  o.defaults.ca_bundle = options_.ca_bundle();
  o.policy_applied = memory.policy_generation == o.generation;
  o.create_failure = memory.create_failure;
  o.coordinator = hosts_.View({o.metadata.namespace_, o.metadata.name}, o.uid);
  if (!ObservePods(memory, o, call)) return std::nullopt;
  return o;
}

bool Reconciler::ApplyPolicy(const Observed& o, const json& policy, Memory& memory,
                             const kube::CallOptions& call) {
  if (policy.is_null()) return true;
  const auto applied = client_.Apply(kube::NetworkPolicies(), policy, /*force=*/true, call);
  const bool done = applied.ok() || applied.error().reason == ApiReason::kNamespaceTerminating;
  if (!applied.ok()) LogWarning("reconcile", applied.error().message);
  memory.policy_generation = done ? o.generation : -1;
  return done;
}

kube::ApiResult<Duration> Reconciler::WriteStatus(const json& job, const Observed& o,
                                                  const JobStatus& status, bool at_once,
                                                  Memory& memory, const kube::CallOptions& call) {
  if (status == o.status) return Duration::zero();
  if (!at_once && !DiffersAtOnce(o.status, status)) {
    const uint64_t seed =
        Hash64(std::hash<std::string>{}(o.uid), static_cast<uint64_t>(o.status.progress.round));
    const Duration wait = progress_.Until(memory.progress, seed, clock_.Now());
    if (wait > Duration::zero()) return wait;
  }
  const json object = {{"apiVersion", kApiVersion},
                       {"kind", kKind},
                       {"metadata",
                        {{"name", o.metadata.name},
                         {"namespace", o.metadata.namespace_},
                         {"uid", o.uid},
                         {"resourceVersion", kube::ResourceVersionOf(job)}}},
                       {"spec", kube::ValueAt(job, "/spec")},
                       {"status", ToJson(status)}};
  auto written = client_.UpdateStatus(kube::TrainingJobs(), object, call);
  if (!written.ok()) return written.error();
  memory.written = ProjectJob(*written);
  return Duration::zero();
}

bool Reconciler::ReadAnew(const kube::ObjectKey& key, Memory& memory,
                          const kube::CallOptions& call) {
  // Versions go back when the API server is restored from a backup: what we wrote before that would
  // count as the newest for ever.
  const auto job = client_.Get(kube::TrainingJobs(), key, call);
  const bool there = job.ok() && kube::UidOf(*job) == memory.uid;
  if (!there) return false;
  memory.written = ProjectJob(*job);
  memory.begun = false;  // it may have pods on record that the cache does not show
  return true;
}

void Reconciler::RecordEvents(const Observed& o, const Desired& desired) {
  for (const EventToWrite& event : desired.events) {
    kube::EventText text;
    text.about = {kApiVersion, kKind, {o.metadata.namespace_, o.metadata.name}, o.uid, ""};
    text.warning = event.warning;
    text.reason = event.reason;
    text.message = event.message;
    recorder_.Record(std::move(text));
  }
}

}  // namespace longstride
