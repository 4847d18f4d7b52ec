// What is known of one job at a moment: all that decisions rest on, as values.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controller/coordinator/events.h"
#include "controller/reconcile/job_status.h"
#include "core/spec/places.h"
#include "core/spec/training_job.h"

namespace longstride {

// What matters of one pod.
struct PodView {
  std::string name;
  std::string uid;
  WorkerPlace place;
  int64_t incarnation = 0;
  bool ours = false;        // its controller is this very job (by UID)
  std::string phase;        // "Pending", "Running", ...
  std::string pod_reason;   // "Evicted", ...
  std::string pod_message;  // its node's, or how the init container ended that failed the pod
  std::string node;
  std::string ca_bundle;  // PEM; "" = it has none
  double created = 0;     // Unix seconds
  // When the pod is being deleted: until when its containers may go on, Unix seconds; 0 = it is
  // not.
  double deleted = 0;
  bool ready = false;
  bool disrupted = false;  // DisruptionTarget: evicted, preempted, drained, its node gone
  // Why it is not scheduled, when it is not: "Unschedulable", "SchedulingGated"; or empty.
  std::string unscheduled_reason;
  std::string unscheduled_message;

  // Of the container named `worker`; while it waits for an init container that cannot start, that
  // one's reason and message.
  enum class Container { kNone, kWaiting, kRunning, kTerminated };
  Container worker = Container::kNone;
  std::string worker_reason;   // "ImagePullBackOff"; "OOMKilled"
  std::string worker_message;  // of one that has ended no more than the last words
  int64_t exit_code = -1;
  double finished = 0;  // Unix seconds
  // Containers other than `worker` may still run after it has ended. Not counted are sidecars among
  // the init containers: the kubelet itself ends them, once the others have ended.
  bool others_run = false;

  [[nodiscard]] bool terminal() const { return phase == "Succeeded" || phase == "Failed"; }
  // Its phase says so a moment after its last container has ended.
  [[nodiscard]] bool ended() const {
    return terminal() || (worker == Container::kTerminated && !others_run);
  }
  friend bool operator==(const PodView&, const PodView&) = default;
};

// From the API's JSON; nullopt when the labels do not say whose worker it is.
[[nodiscard]] std::optional<PodView> ViewOfPod(const nlohmann::json& pod,
                                               const std::string& job_uid);

// A container that waits for this reason waits for a fault to be mended, and not in the usual
// course of things.
[[nodiscard]] bool IsWaitingFault(const std::string& reason);

// Whether the pod's init container of this name is a sidecar, which runs on beside the worker.
[[nodiscard]] bool IsSidecar(const nlohmann::json& pod, const std::string& init_container);

// One worker as its coordinator knows it.
struct MemberView {
  WorkerPlace place;
  std::string pod_uid;  // of the pod it runs in; "" = not known
  enum class State { kJoined, kMember, kLeft, kLost } state = State::kJoined;
  std::string reason;                     // of kLeft, kLost
  ErrorCode code = ErrorCode::kLostPeer;  // of kLost: what it said of itself, if it did
};

struct GroupProfile {
  std::string group;
  double alpha = 0;
  double beta = 0;
  int64_t micro_batch_cap = 0;
  double share = 0;
};

// The hosted coordinator of the job.
struct CoordinatorView {
  // Taken over from another leader a moment ago: not all workers have had the time to come back.
  bool settling = false;
  int64_t wanted = 0;      // workers, by its last order
  int64_t generation = 0;  // counter of the last one formed; 0 = none
  bool completing = false;
  std::vector<MemberView> members;  // who has joined, at most one for each place
  // Absent until a round was committed, or a worker came back with its round.
  std::optional<TrainingProgress> progress;
  std::optional<CheckpointRecord> checkpoint;
  std::vector<GroupProfile> profiles;  // once the plan is made
  double round_seconds = 0;            // of the last round
  double checkpoint_seconds = 0;       // of the last checkpoint
  std::optional<JobEnd> end;
  double ended_at = 0;  // Unix seconds
  // Largest micro-batch for whoever is started next, at places whose memory was found too small.
  std::map<WorkerPlace, int64_t> micro_batch_limits;
  std::set<std::string> memory_kills;  // UIDs of pods: kills for want of memory that it was told of

  [[nodiscard]] int64_t present() const;   // joined, and neither left nor lost
  [[nodiscard]] int64_t training() const;  // members of the generation
  [[nodiscard]] const MemberView* Find(const WorkerPlace& place) const;
};

// The API server refused to create a pod.
struct CreateFailure {
  int http_status = 0;
  std::string reason;  // metav1.Status.reason
  std::string message;
  std::string field;  // "spec.containers[0].image"; "" = none named
  std::string pod;
  WorkerPlace place;
  bool quota = false;      // 403 by a ResourceQuota
  bool forbidden = false;  // by authorization or admission, with whatever status
  // No pod of this template is valid: a field is not (422), or a value has the wrong type (400).
  bool template_fault = false;
  double retry_at = 0;  // Unix seconds: the controller's own back-off
};

// Of the controller, the same for all jobs.
struct WorkerDefaults {
  std::string coordinator_url;  // "https://longstride.longstride-system.svc:8443"
  std::string image;            // for templates that name none
  std::string ca_bundle;        // PEM, of the coordinator's certificate
  // NetworkPolicy peers that may reach workers' metrics; empty: anybody.
  nlohmann::json metrics_from = nlohmann::json::array();
  std::string version{};  // the controller's own, for the labels of what it makes
};

struct Observed {
  ObjectMeta metadata;
  std::string uid;
  int64_t generation = 0;
  bool deleting = false;
  std::string managed_by;               // as written, also when the spec is not valid
  std::optional<TrainingJobSpec> spec;  // nullopt when it is not valid
  std::string spec_faults;              // then: a line for each
  JobStatus status;                     // as last written
  std::vector<PodView> pods;            // with this job's labels
  // The highest that this leader has seen of each place: a status write that had one on record may
  // have failed, and its pod be gone.
  std::map<WorkerPlace, int64_t> incarnations;
  std::optional<CoordinatorView> coordinator;  // when it is hosted here
  std::optional<CreateFailure> create_failure;
  WorkerDefaults defaults;
  bool policy_applied = false;  // the NetworkPolicy, since the spec was edited
  double now = 0;               // Unix seconds
};

}  // namespace longstride
