#include "cli/kubectl/commands.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "cli/kubectl/json_reads.h"
#include "cli/kubectl/status_text.h"
#include "core/base/format.h"
#include "core/spec/to_json.h"

namespace longstride {
namespace {

using nlohmann::json;

struct WorkerPod {
  std::string worker;
  std::string pod;
  int64_t incarnation = 0;
};

// A label that holds a number; 0 if it does not.
int64_t LabelNumber(const json& pod, const char* pointer) {
  const std::string text = TextAt(pod, pointer);
  return text.empty() ? 0 : std::strtoll(text.c_str(), nullptr, 10);
}

// The newest pod of each worker, in the order of ranks.
std::vector<WorkerPod> NewestPods(const std::vector<json>& pods) {
  std::map<std::pair<std::string, int64_t>, WorkerPod> newest;
  for (const json& pod : pods) {
    const std::string group = TextAt(pod, "/metadata/labels/longstride.dev~1group");
    const int64_t index = LabelNumber(pod, "/metadata/labels/longstride.dev~1index");
    const WorkerPod found{group + "-" + std::to_string(index), TextAt(pod, "/metadata/name"),
                          LabelNumber(pod, "/metadata/labels/longstride.dev~1incarnation")};
    WorkerPod& kept = newest[{group, index}];
    if (kept.pod.empty() || found.incarnation > kept.incarnation) kept = found;
  }
  std::vector<WorkerPod> list;
  for (auto& [place, pod] : newest) list.push_back(std::move(pod));
  return list;
}

Status LogsOfAll(JobApi& api, const std::vector<WorkerPod>& pods, const LogOptions& options,
                 const std::stop_token& stop, const TextSink& out) {
  std::mutex mutex;
  Status first;
  const auto read = [&](const WorkerPod& pod) {
    const auto line = [&](std::string_view text) {
      const std::lock_guard lock(mutex);
      out(pod.worker + ": " + std::string(text) + "\n");
    };
    const Status status = api.Logs(pod.pod, options, line, stop);
    const std::lock_guard lock(mutex);
    if (!status.ok() && first.ok()) first = status;
  };
  if (!options.follow) {
    for (const WorkerPod& pod : pods) read(pod);
    return first;
  }
  std::vector<std::jthread> threads;
  threads.reserve(pods.size());
  for (const WorkerPod& pod : pods) threads.emplace_back([&read, &pod] { read(pod); });
  threads.clear();  // waits for each
  return first;
}

// AwaitEnd; sets `ended` when the job has.
Status Await(JobApi& api, const std::string& name, const WaitOptions& options, const TextSink& out,
             bool& ended) {
  std::string said;
  Status end;
  LONGSTRIDE_RETURN_IF_ERROR(api.Watch(
      name, options.deadline,
      [&](const json& job) {
        if (!options.uid.empty() && TextAt(job, "/metadata/uid") != options.uid) {
          end = UserError(name + " was deleted, and another job of that name was created");
          return false;
        }
        if (const std::string line = ProgressLine(job); line != said) {
          out(line + "\n");
          said = line;
        }
        if (Holds(job, "Failed"))
          end = UserError(name + " failed: " + ConditionText(job, "Failed"));
        ended = !end.ok() || Holds(job, "Complete");
        return !ended;
      },
      options.stop));
  return end;
}

}  // namespace

Result<std::string> SubmitJob(JobApi& api, const TrainingJob& job, const TextSink& out) {
  json object = ToJson(job);
  // What a server has set on another object is not this one's.
  for (const char* key :
       {"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"}) {
    object["metadata"].erase(key);
  }
  LONGSTRIDE_ASSIGN_OR_RETURN(const json made, api.Create(object));
  out("trainingjob " + TextAt(made, "/metadata/name") + " submitted to " +
      TextAt(made, "/metadata/namespace") + "\n");
  return TextAt(made, "/metadata/uid");
}

Status AwaitEnd(JobApi& api, const std::string& name, const WaitOptions& options,
                const TextSink& out) {
  bool ended = false;
  return Await(api, name, options, out, ended);
}

Status AwaitEndAndDelete(JobApi& api, const std::string& name, const WaitOptions& options,
                         const TextSink& out) {
  bool ended = false;
  const Status end = Await(api, name, options, out, ended);
  const bool timed_out = !end.ok() && end.error().code == ErrorCode::kTransient;
  if (!ended && !timed_out) return end;
  const Status deleted = CancelJob(api, name, out, options.uid);
  if (end.ok()) return deleted;
  if (deleted.ok()) return end;
  return Error{end.error().code, end.error().message + "\n" + deleted.error().message};
}

Status ShowStatus(JobApi& api, const std::string& name, double now, const TextSink& out) {
  if (name.empty()) {
    LONGSTRIDE_ASSIGN_OR_RETURN(const std::vector<json> jobs, api.List());
    out(jobs.empty() ? "no training jobs here\n" : RenderJobs(jobs, now));
    return {};
  }
  LONGSTRIDE_ASSIGN_OR_RETURN(const json job, api.Get(name));
  const Result<std::vector<json>> events = api.Events(name);
  // Who may read jobs may not be allowed to read events.
  out(RenderJob(job, events.ok() ? *events : std::vector<json>{}, now));
  return {};
}

Status SetSuspended(JobApi& api, const std::string& name, bool suspended, bool wait,
                    const WaitOptions& options, const TextSink& out) {
  LONGSTRIDE_ASSIGN_OR_RETURN(
      const json patched, api.Patch(name, {{"spec", {{"runPolicy", {{"suspend", suspended}}}}}}));
  out(name + (suspended ? " is to suspend\n" : " is to resume\n"));
  if (!wait) return {};
  const int64_t generation = CountAt(patched, "/metadata/generation");
  std::string ended;
  LONGSTRIDE_RETURN_IF_ERROR(api.Watch(
      name, options.deadline,
      [&](const json& job) {
        if (CountAt(job, "/status/observedGeneration") < generation) return true;
        for (const char* type : {"Complete", "Failed"}) {
          if (Holds(job, type)) ended = ConditionText(job, type);
        }
        if (!ended.empty()) return false;
        return suspended ? !(Holds(job, "Suspended") && CountAt(job, "/status/readyReplicas") == 0)
                         : !Holds(job, "Running");
      },
      options.stop));
  if (!ended.empty()) return UserError(name + " has ended: " + ended);
  out(name + (suspended ? " is suspended\n" : " is running\n"));
  return {};
}

Status ScaleJob(JobApi& api, const std::string& name, int64_t replicas, const TextSink& out) {
  LONGSTRIDE_RETURN_IF_ERROR(api.Patch(name, {{"spec", {{"replicas", replicas}}}}, "scale"));
  out(Format("%s is to have %lld workers\n", name.c_str(), static_cast<long long>(replicas)));
  return {};
}

Status CancelJob(JobApi& api, const std::string& name, const TextSink& out,
                 const std::string& uid) {
  LONGSTRIDE_RETURN_IF_ERROR(api.Delete(name, uid));
  out(name + " deleted\n");
  return {};
}

Status ShowLogs(JobApi& api, const std::string& name, const std::string& worker,
                const LogOptions& options, const std::stop_token& stop, const TextSink& out) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::vector<json> all, api.Pods(name));
  const std::vector<WorkerPod> pods = NewestPods(all);
  if (pods.empty()) return UserError(name + " has no pods; kubectl longstride status " + name);
  if (worker.empty()) return LogsOfAll(api, pods, options, stop, out);
  const auto found = std::find_if(pods.begin(), pods.end(),
                                  [&](const WorkerPod& pod) { return pod.worker == worker; });
  if (found == pods.end()) {
    std::string known;
    for (const WorkerPod& pod : pods) known += (known.empty() ? "" : ", ") + pod.worker;
    return UserError(name + " has no worker \"" + worker + "\"; it has " + known);
  }
  return api.Logs(
      found->pod, options, [&](std::string_view line) { out(std::string(line) + "\n"); }, stop);
}

}  // namespace longstride
