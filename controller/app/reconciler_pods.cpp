// What a reconciler knows of a job's pods, and what it does about them.
#include <algorithm>
#include <utility>
#include <vector>

#include "controller/app/at_once.h"
#include "controller/app/objects.h"
#include "controller/app/reconciler.h"
#include "controller/reconcile/decide.h"
#include "controller/reconcile/labels.h"
#include "core/base/log.h"
#include "core/spec/parse.h"

namespace longstride {
namespace {

using kube::ApiReason;
using nlohmann::json;

// What a deletion that the cache does not show yet is taken to allow its pod.
constexpr double kAssumedGrace = 60;
// Of one job, at the same time.
constexpr size_t kFirstPodsAtOnce = 4;
constexpr size_t kMostPodsAtOnce = 16;

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

bool IsOnRecord(const JobStatus& status, const PodToDelete& pod) {
  const GroupStatus* group = status.Group(pod.place.group);
  const auto index = static_cast<size_t>(pod.place.index);
  return group != nullptr && index < group->workers.size() &&
         group->workers[index].incarnation >= pod.incarnation;
}

}  // namespace

bool Reconciler::FindRecorded(Memory& memory, const Observed& o, const kube::CallOptions& call) {
  std::set<std::string> seen;
  for (const PodView& pod : o.pods) seen.insert(pod.name);
  for (const GroupStatus& group : o.status.groups) {
    for (size_t i = 0; i < group.workers.size(); ++i) {
      const WorkerRecord& record = group.workers[i];
      if (record.ended >= record.incarnation) continue;
      const std::string name =
          PodName(o.metadata.name, {group.name, static_cast<int64_t>(i)}, record.incarnation);
      if (seen.contains(name) || memory.made.contains(name)) continue;
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

std::vector<PodToDelete> Reconciler::TakePostponed(const Observed& o, Desired& desired) {
  std::vector<PodToDelete> taken;
  if (!desired.status) return taken;
  std::erase_if(desired.remove, [&](const PodToDelete& pod) {
    if (!desired.status_first && (!IsOnRecord(*desired.status, pod) || IsOnRecord(o.status, pod)))
      return false;
    taken.push_back(pod);
    return true;
  });
  return taken;
}

bool Reconciler::PatchPods(const Observed& o, std::span<const PodToPatch> pods, Memory& memory,
                           const kube::CallOptions& call) {
  std::erase_if(memory.patched, [&](const auto& each) {
    return std::ranges::find(pods, each.first, &PodToPatch::name) == pods.end();
  });
  std::vector<const PodToPatch*> left;
  for (const PodToPatch& pod : pods) {
    const auto sent = memory.patched.find(pod.name);
    const bool done = sent != memory.patched.end() && sent->second.patch == pod.patch &&
                      !(sent->second.refused && clock_.Now() - sent->second.at >= kPatchAgain);
    if (!done) left.push_back(&pod);
  }
  for (size_t begin = 0; begin < left.size(); begin += kMostPodsAtOnce) {
    const auto some =
        std::span(left).subspan(begin, std::min(kMostPodsAtOnce, left.size() - begin));
    const auto answers = AtOnce(some, [&](const PodToPatch* pod) {
      return client_.MergePatch(kube::Pods(), {o.metadata.namespace_, pod->name}, pod->patch, "",
                                call);
    });
    bool done = true;
    for (size_t i = 0; i < some.size(); ++i) {
      const bool well = answers[i].ok() || answers[i].error().reason == ApiReason::kNotFound;
      if (!well) LogWarning("reconcile", answers[i].error().message);
      if (well || IsRefusedForGood(answers[i].error())) {
        memory.patched[some[i]->name] = {some[i]->patch, !well, clock_.Now()};
      } else {
        done = false;
      }
    }
    if (!done) return false;
  }
  return true;
}

bool Reconciler::RemovePods(const Observed& o, std::span<const PodToDelete> pods, Memory& memory,
                            const kube::CallOptions& call) {
  bool done = true;
  for (const PodToDelete& pod : pods) {
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
  // Where one is refused the others of its group would be too: few first, one if one was, then
  // twice as many each time.
  const size_t first = memory.create_failure ? 1 : kFirstPodsAtOnce;
  bool all = true;
  for (auto begin = pods.begin(); begin != pods.end();) {
    const auto end = std::find_if(begin, pods.end(), [&](const PodToCreate& pod) {
      return pod.place.group != begin->place.group;
    });
    for (size_t at_once = first; begin != end; at_once *= 2) {
      const size_t count = std::min({at_once, kMostPodsAtOnce, static_cast<size_t>(end - begin)});
      const bool made = CreatePodsAtOnce(o, std::span(begin, count), memory, call);
      all = all && made;
      begin = made ? begin + static_cast<std::ptrdiff_t>(count) : end;
    }
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
  const auto answers =
      AtOnce(pods, [&](const PodToCreate& pod) { return CreatePod(o, pod, call); });

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

}  // namespace longstride
