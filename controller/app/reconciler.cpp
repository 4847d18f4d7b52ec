#include "controller/app/reconciler.h"

#include <algorithm>
#include <future>
#include <utility>
#include <vector>

#include "controller/app/objects.h"
#include "controller/reconcile/decide.h"
#include "controller/reconcile/labels.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "core/spec/parse.h"

namespace longstride {
namespace {

using kube::ApiReason;
using nlohmann::json;

constexpr Duration kCallDeadline = std::chrono::seconds(15);
// What a deletion that the cache does not show yet is taken to allow its pod.
constexpr double kAssumedGrace = 60;
// Of one job, at the same time.
constexpr size_t kMostPodsAtOnce = 16;

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

const kube::Resource* ResourceOf(const json& object) {
  for (const kube::Resource* resource : {&kube::ConfigMaps(), &kube::NetworkPolicies()}) {
    if (kube::StringAt(object, "/kind") == resource->kind) return resource;
  }
  return nullptr;
}

// A pod that is in the way for a while only: it is being deleted, or will be as its job is gone,
// which had the name that our job has now.
bool IsLeaving(const json& pod, const std::string& job_name) {
  if (!kube::StringAt(pod, "/metadata/deletionTimestamp").empty()) return true;
  for (const json& owner : kube::ValueAt(pod, "/metadata/ownerReferences")) {
    if (kube::ValueAt(owner, "/controller") == json(true) &&
        kube::StringAt(owner, "/kind") == kKind && kube::StringAt(owner, "/name") == job_name)
      return true;
  }
  return false;
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
      progress_(options_.progress_period, options_.progress_writes_per_second) {}

std::map<kube::ObjectKey, JobStatus> Reconciler::Statuses() const {
  const std::lock_guard lock(mutex_);
  return statuses_;
}

kube::Outcome Reconciler::Forget(const kube::ObjectKey& key) {
  hosts_.Release({key.namespace_, key.name});
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

  bool done = true;
  // Pods need what they mount, and a coordinator to join.
  if (const Status hosted = hosts_.Carry({key.namespace_, key.name}, o, desired.coordinator);
      !hosted.ok()) {
    LogWarning("reconcile", key.Text() + ": " + hosted.error().message);
    done = false;
  }
  done = ApplyObjects(desired, memory, call) && done;
  done = RemovePods(o, desired, memory, call) && done;
  done = CreatePods(o, desired, memory, call) && done;
  Duration progress_wait{};
  if (desired.status) {
    const auto wait = WriteStatus(job, o, *desired.status, memory, call);
    if (!wait.ok()) {
      // Somebody wrote before us: what was decided is decided again.
      if (wait.error().reason == ApiReason::kNotFound) return kube::Outcome::Done();
      if (wait.error().reason == ApiReason::kConflict) ReadAnew(key, memory, call);
      LogWarning("reconcile", key.Text() + ": " + wait.error().message);
      return kube::Outcome::Retry();
    }
    progress_wait = *wait;
    const std::lock_guard lock(mutex_);
    statuses_[key] = *desired.status;
  }
  RecordEvents(o, desired);
  if (desired.delete_job) {
    kube::DeleteOptions options;
    options.uid = memory.uid;
    const auto deleted = client_.Delete(kube::TrainingJobs(), key, options, call);
    done = (deleted.ok() || deleted.error().reason == ApiReason::kNotFound) && done;
  }
  Duration wait{};
  const auto look_after = [&wait](Duration delay) {
    if (delay <= Duration::zero()) return;
    wait = wait > Duration::zero() ? std::min(wait, delay) : delay;
  };
  look_after(progress_wait);
  if (desired.requeue_at > 0)
    look_after(FromSeconds(std::max(0.001, desired.requeue_at - clock_.UnixSeconds())));
  // No event tells of a pod that is gone before the cache has shown it.
  if (!memory.made.empty()) look_after(options_.unseen);
  if (!done) return kube::Outcome::Retry(wait);
  return wait > Duration::zero() ? kube::Outcome::After(wait) : kube::Outcome::Done();
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
  // Another attempt takes nothing to be there: somebody may have deleted it.
  if (memory.applied_generation != o.generation || memory.applied_bundle != o.defaults.ca_bundle) {
    memory.applied.clear();
    memory.applied_generation = o.generation;
    memory.applied_bundle = o.defaults.ca_bundle;
    memory.all_applied = false;
  }
  o.objects_applied = memory.all_applied;
  o.create_failure = memory.create_failure;
  o.coordinator = hosts_.View({o.metadata.namespace_, o.metadata.name}, o.uid);
  if (!ObservePods(memory, o, call)) return std::nullopt;
  return o;
}

bool Reconciler::FindRecorded(Memory& memory, const Observed& o, const kube::CallOptions& call) {
  std::set<std::string> seen;
  for (const PodView& pod : o.pods) seen.insert(pod.name);
  for (const GroupStatus& group : o.status.groups) {
    for (size_t i = 0; i < group.workers.size(); ++i) {
      const WorkerRecord& record = group.workers[i];
      if (record.ended >= record.incarnation) continue;
      const std::string name =
          PodName(o.metadata.name, {group.name, static_cast<int64_t>(i)}, record.incarnation);
      if (seen.contains(name)) continue;
      const auto pod = client_.Get(kube::Pods(), {o.metadata.namespace_, name}, call);
      if (!pod.ok() && pod.error().reason != ApiReason::kNotFound) return false;
      if (!pod.ok()) continue;
      if (std::optional<PodView> view = ViewOfPod(*pod, o.uid))
        memory.made[name] = {std::move(*view), clock_.Now()};
    }
  }
  return true;
}

bool Reconciler::ObservePods(Memory& memory, Observed& o, const kube::CallOptions& call) {
  std::set<std::string> seen;
  for (const kube::ObjectPtr& pod : pods_.ByOwner(memory.uid)) {
    if (std::optional<PodView> view = ViewOfPod(pod->value, memory.uid)) {
      memory.made.erase(view->name);
      if (memory.deleting.contains(view->uid) && view->deleted == 0)
        view->deleted = o.now + kAssumedGrace;
      seen.insert(view->uid);
      o.pods.push_back(std::move(*view));
    }
  }
  if (!memory.begun && !FindRecorded(memory, o, call)) return false;
  memory.begun = true;
  for (auto it = memory.made.begin(); it != memory.made.end();) {
    const bool unseen = clock_.Now() - it->second.since > options_.unseen;
    it = unseen && !IsThere(it->second, o, call) ? memory.made.erase(it) : std::next(it);
  }
  for (const auto& [name, made] : memory.made) {
    o.pods.push_back(made.view);
    seen.insert(made.view.uid);
  }
  std::erase_if(memory.deleting, [&](const std::string& each) { return !seen.contains(each); });
  for (const PodView& pod : o.pods) {
    if (!pod.ours) continue;
    int64_t& highest = memory.incarnations[pod.place];
    highest = std::max(highest, pod.incarnation);
  }
  o.incarnations = memory.incarnations;
  return true;
}

bool Reconciler::IsThere(Made& made, const Observed& o, const kube::CallOptions& call) {
  const auto pod = client_.Get(kube::Pods(), {o.metadata.namespace_, made.view.name}, call);
  if (!pod.ok()) return pod.error().reason != ApiReason::kNotFound;  // asked again next time
  std::optional<PodView> view = ViewOfPod(*pod, o.uid);
  if (!view || view->uid != made.view.uid) return false;
  made = {std::move(*view), clock_.Now()};
  return true;
}

bool Reconciler::ApplyObjects(const Desired& desired, Memory& memory,
                              const kube::CallOptions& call) {
  if (desired.apply.empty()) return true;  // which says nothing of what is there
  bool done = true;
  for (const json& object : desired.apply) {
    const std::string name = kube::StringAt(object, "/kind") + "/" + kube::KeyOf(object).Text();
    const size_t hash = std::hash<json>{}(object);
    if (const auto it = memory.applied.find(name); it != memory.applied.end() && it->second == hash)
      continue;
    const kube::Resource* resource = ResourceOf(object);
    const auto applied = client_.Apply(*resource, object, /*force=*/true, call);
    if (applied.ok()) {
      memory.applied[name] = hash;
    } else {
      LogWarning("reconcile", applied.error().message);
      done = done && applied.error().reason == ApiReason::kNamespaceTerminating;
    }
  }
  memory.all_applied = done;
  return done;
}

bool Reconciler::RemovePods(const Observed& o, const Desired& desired, Memory& memory,
                            const kube::CallOptions& call) {
  bool done = true;
  for (const PodToDelete& pod : desired.remove) {
    kube::DeleteOptions options;
    options.uid = pod.uid;
    const auto deleted =
        client_.Delete(kube::Pods(), {o.metadata.namespace_, pod.name}, options, call);
    // A conflict is about the UID: that pod is gone.
    if (deleted.ok() || deleted.error().reason == ApiReason::kNotFound ||
        deleted.error().reason == ApiReason::kConflict) {
      memory.deleting.insert(pod.uid);
      LogInfo("reconcile", o.metadata.namespace_ + "/" + pod.name + " deleted: " + pod.why);
    } else {
      LogWarning("reconcile", deleted.error().message);
      done = false;
    }
  }
  return done;
}

bool Reconciler::CreatePods(const Observed& o, Desired& desired, Memory& memory,
                            const kube::CallOptions& call) {
  std::vector<PodToCreate>& pods = desired.create;
  // Where one is refused the others would be too: one first, then twice as many each time.
  bool all = true;
  for (size_t asked = 0, at_once = 1; all && asked < pods.size(); at_once *= 2) {
    const size_t count = std::min({at_once, kMostPodsAtOnce, pods.size() - asked});
    all = CreatePodsAtOnce(o, std::span(pods).subspan(asked, count), memory, call);
    asked += count;
  }
  const auto others = std::stable_partition(pods.begin(), pods.end(), [&](const PodToCreate& pod) {
    return memory.made.contains(pod.name);
  });
  RecordCreated(static_cast<size_t>(others - pods.begin()), desired);
  if (!all) return false;
  const bool over = memory.create_failure && o.now >= memory.create_failure->retry_at;
  if (!pods.empty() || over) {
    memory.create_failure.reset();
    memory.create_failures = 0;
  }
  return true;
}

bool Reconciler::CreatePodsAtOnce(const Observed& o, std::span<const PodToCreate> pods,
                                  Memory& memory, const kube::CallOptions& call) {
  // Without a thread to be had a request waits for the others.
  std::vector<std::future<kube::ApiResult<json>>> others;
  for (const PodToCreate& pod : pods.subspan(1))
    others.push_back(std::async([&] { return CreatePod(o, pod, call); }));
  std::vector<kube::ApiResult<json>> answers{CreatePod(o, pods.front(), call)};
  for (auto& other : others) answers.push_back(other.get());

  bool refused = false;  // the first refusal is told
  for (size_t i = 0; i < pods.size(); ++i) {
    if (answers[i].ok()) {
      if (auto view = ViewOfPod(*answers[i], o.uid))
        memory.made[pods[i].name] = {std::move(*view), clock_.Now()};
      continue;
    }
    const kube::ApiError& error = answers[i].error();
    LogWarning("reconcile", error.message);
    // Webhooks that are away are 500s, too, and may stay away.
    const bool transient = error.Transient() && error.reason != ApiReason::kInternal;
    if (transient || error.reason == ApiReason::kInterrupted || std::exchange(refused, true))
      continue;
    memory.create_failure = FailureOf(error, pods[i].name, pods[i].place, memory.create_failures++,
                                      clock_.UnixSeconds());
  }
  return std::ranges::all_of(answers, [](const auto& answer) { return answer.ok(); });
}

kube::ApiResult<json> Reconciler::CreatePod(const Observed& o, const PodToCreate& pod,
                                            const kube::CallOptions& call) {
  auto made = client_.Create(kube::Pods(), pod.body, call);
  if (made.ok() || made.error().reason != ApiReason::kAlreadyExists) return made;
  // Ours from before a failover, or from a request whose answer was lost; or somebody else's.
  const kube::ObjectKey key{o.metadata.namespace_, pod.name};
  auto there = client_.Get(kube::Pods(), key, call);
  if (!there.ok() && there.error().reason != ApiReason::kNotFound) return there;
  if (there.ok() && kube::ControllerUidOf(*there) == o.uid) return there;
  if (there.ok() && !IsLeaving(*there, o.metadata.name)) return made;
  kube::ApiError error;  // its deletion wakes the job
  error.reason = ApiReason::kUnavailable;
  error.message = "create pods " + key.Text() + ": one of that name is being deleted";
  return error;
}

kube::ApiResult<Duration> Reconciler::WriteStatus(const json& job, const Observed& o,
                                                  const JobStatus& status, Memory& memory,
                                                  const kube::CallOptions& call) {
  if (status == o.status) return Duration::zero();
  if (!DiffersAtOnce(o.status, status)) {
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

void Reconciler::ReadAnew(const kube::ObjectKey& key, Memory& memory,
                          const kube::CallOptions& call) {
  // Versions go back when the API server is restored from a backup: what we wrote before that would
  // count as the newest for ever.
  const auto job = client_.Get(kube::TrainingJobs(), key, call);
  if (job.ok() && kube::UidOf(*job) == memory.uid) memory.written = ProjectJob(*job);
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
