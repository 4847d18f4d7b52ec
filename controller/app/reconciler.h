// Observe, decide, act, for one job at a time: puts together what is known of it, and carries out
// what Decide wants. Holds between two looks only what the caches do not show yet (our own writes)
// and what limits our rates.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "controller/app/job_hosts.h"
#include "controller/app/progress_pacer.h"
#include "controller/app/reconcile_times.h"
#include "controller/kube/cache.h"
#include "controller/kube/client.h"
#include "controller/kube/event_recorder.h"
#include "controller/kube/work_queue.h"
#include "controller/reconcile/desired.h"
#include "controller/reconcile/observed.h"
#include "core/base/clock.h"

namespace longstride {

struct ReconcilerOptions {
  WorkerDefaults defaults;  // without the CA bundle, which changes
  std::function<std::string()> ca_bundle = [] { return std::string(); };
  // Progress alone is written this often at most, for one job (jittered by a fifth) and for all.
  Duration progress_period = std::chrono::seconds(10);
  double progress_writes_per_second = 20;
  // A pod that we made and that the cache has not shown for so long was deleted between two lists,
  // or the watch is stuck: the API server is asked.
  Duration unseen = std::chrono::seconds(60);
};

// Thread-safe, for different jobs at once; never the same one, which the work queue sees to. All
// references must outlive it.
class Reconciler {
 public:
  Reconciler(ReconcilerOptions options, kube::Client& client, const kube::Cache& jobs,
             const kube::Cache& pods, JobHosts& hosts, kube::EventRecorder& recorder,
             const Clock& clock);

  [[nodiscard]] kube::Outcome Reconcile(const kube::ObjectKey& key, const std::stop_token& stop);

  // The status of every job that was looked at and is still there, for the metrics.
  [[nodiscard]] std::map<kube::ObjectKey, JobStatus> Statuses() const;
  [[nodiscard]] ReconcileCounts times() const { return times_.Read(); }

 private:
  // Between two attempts at a patch that was refused for good.
  static constexpr Duration kPatchAgain = std::chrono::minutes(1);

  // A pod that is there and that the cache does not show yet.
  struct Made {
    PodView view;
    TimePoint since;
  };
  struct Patched {
    nlohmann::json patch;
    bool refused = false;  // for good, it seems: it is asked for again now and then
    TimePoint at;
  };
  struct Memory {
    std::string uid;
    int64_t parsed_generation = -1;
    ObjectMeta metadata;
    std::optional<TrainingJobSpec> spec;
    std::string faults;
    nlohmann::json written;  // the job as our last status write left or found it
    bool begun = false;      // under this leadership
    // No earlier leader can have done what the cache does not show yet.
    bool certain = false;
    std::map<std::string, Made> made;
    std::set<std::string> deleting;          // UIDs
    std::map<std::string, Patched> patched;  // by name, until the cache shows it
    std::map<WorkerPlace, int64_t> incarnations;
    int64_t policy_generation = -1;  // at which the NetworkPolicy was applied last
    std::optional<CreateFailure> create_failure;
    int create_failures = 0;  // in a row
    ProgressPacer::Slot progress;
  };

  Memory& Remember(const kube::ObjectKey& key, const std::string& uid);
  // Nothing when it could not be learned what is there.
  [[nodiscard]] std::optional<Observed> Observe(const nlohmann::json& job, Memory& memory,
                                                const kube::CallOptions& call);
  // False when it could not be learned what is there.
  [[nodiscard]] bool ObservePods(Memory& memory, Observed& o, const kube::CallOptions& call);
  // Of the pods that the status has on record as alive, those that the cache does not show: one
  // that lags behind that of the jobs must not make them pass for vanished.
  [[nodiscard]] bool FindRecorded(Memory& memory, const Observed& o, const kube::CallOptions& call);
  // Whether the API server has it; unless it has not, `made` is kept.
  [[nodiscard]] bool IsThere(Made& made, const Observed& o, const kube::CallOptions& call);
  [[nodiscard]] kube::Outcome Look(const kube::ObjectKey& key, const std::stop_token& stop);
  // `job` is the one that `o` was observed of.
  [[nodiscard]] kube::Outcome CarryOut(const kube::ObjectKey& key, const nlohmann::json& job,
                                       const Observed& o, Desired& desired, Memory& memory,
                                       const kube::CallOptions& call);
  // When to look again though nothing has happened; zero: never.
  [[nodiscard]] Duration NextLook(const Desired& desired, const Memory& memory) const;
  // These return true when all was carried out.
  bool OrderCoordinator(const Observed& o, const Desired& desired);
  bool ApplyPolicy(const Observed& o, const nlohmann::json& policy, Memory& memory,
                   const kube::CallOptions& call);
  bool PatchPods(const Observed& o, std::span<const PodToPatch> pods, Memory& memory,
                 const kube::CallOptions& call);
  // Takes out of `desired.remove` what waits for the status to be written: pods whose names it puts
  // on record (gone before that, a name would be forgotten with its pod, and the next leader would
  // give it again), and all of them with `desired.status_first`.
  [[nodiscard]] static std::vector<PodToDelete> TakePostponed(const Observed& o, Desired& desired);
  bool RemovePods(const Observed& o, std::span<const PodToDelete> pods, Memory& memory,
                  const kube::CallOptions& call);
  bool CreatePods(const Observed& o, Desired& desired, Memory& memory,
                  const kube::CallOptions& call);
  bool CreatePodsAtOnce(const Observed& o, std::span<const PodToCreate> pods, Memory& memory,
                        const kube::CallOptions& call);
  // The pod as it is there. Touches no memory: for several pods at once.
  [[nodiscard]] kube::ApiResult<nlohmann::json> CreatePod(const Observed& o, const PodToCreate& pod,
                                                          const kube::CallOptions& call);
  // How long to wait before what is left may be written; zero when nothing is.
  [[nodiscard]] kube::ApiResult<Duration> WriteStatus(const nlohmann::json& job, const Observed& o,
                                                      const JobStatus& status, bool at_once,
                                                      Memory& memory,
                                                      const kube::CallOptions& call);
  // The job as it is, into `memory.written`; false when it could not be read, or is gone.
  bool ReadAnew(const kube::ObjectKey& key, Memory& memory, const kube::CallOptions& call);
  void RecordEvents(const Observed& o, const Desired& desired);
  [[nodiscard]] kube::Outcome Forget(const kube::ObjectKey& key);

  const ReconcilerOptions options_;
  kube::Client& client_;
  const kube::Cache& jobs_;
  const kube::Cache& pods_;
  JobHosts& hosts_;
  kube::EventRecorder& recorder_;
  const Clock& clock_;
  const double began_;        // Unix seconds
  mutable std::mutex mutex_;  // guards what follows, but not what is in one Memory
  std::map<kube::ObjectKey, std::unique_ptr<Memory>> memories_;
  std::map<kube::ObjectKey, JobStatus> statuses_;
  ProgressPacer progress_;
  ReconcileTimes times_;
};

}  // namespace longstride
