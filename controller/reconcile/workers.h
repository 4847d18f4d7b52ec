// What became of each worker's pods: who has one, who needs one, and whose end counts against the
// job. The only reader and writer of the status's WorkerRecords.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controller/reconcile/observed.h"
#include "core/spec/places.h"

namespace longstride {

//   kSucceeded    the worker has done the job (exit code 0)
//   kInterrupted  it was asked to leave, and did (exit code 7)
//   kDisrupted    its pod was evicted, preempted or drained; never counted
//   kLost         it died, or its pod vanished or broke its limits; counted, and started anew
//   kHopeless     it would fail again (exit codes 1 to 4)
enum class EndKind { kSucceeded, kInterrupted, kDisrupted, kLost, kHopeless };

struct WorkerEnd {
  EndKind kind = EndKind::kLost;
  std::string reason;  // one word: "OOMKilled", "Evicted", "Vanished", "UserError", ...
  std::string message;
  int64_t exit_code = -1;
  double time = 0;
  bool out_of_memory = false;  // the kernel killed it for want of memory
};

struct WorkerEntry {
  WorkerPlace place;
  bool wanted = false;
  WorkerRecord record;                // with this look's ends accounted for
  const PodView* pod = nullptr;       // of the highest incarnation, if it is still there
  std::vector<const PodView*> older;  // pods of earlier incarnations, newest first
  std::optional<WorkerEnd> end;       // of the highest incarnation
  bool news = false;                  // ... which was not accounted for before

  // Its place is taken by a pod that may still work.
  [[nodiscard]] bool alive() const { return pod != nullptr && !end; }
};

// How to account for ends: pods that were told to go are forgiven.
enum class Accounting { kCount, kForgive };

class WorkerTable {
 public:
  // `o.spec` is present. Pods that are not the job's own are left out.
  WorkerTable(const Observed& o, Accounting accounting);

  [[nodiscard]] std::vector<WorkerEntry>& all() { return workers_; }  // sorted by place
  [[nodiscard]] const std::vector<WorkerEntry>& all() const { return workers_; }

  [[nodiscard]] int64_t wanted() const;
  [[nodiscard]] int64_t ready() const;  // wanted, alive and ready
  [[nodiscard]] int64_t alive() const;  // of all
  [[nodiscard]] int64_t pods() const;   // objects, alive or not
  [[nodiscard]] int64_t failures() const;
  [[nodiscard]] int64_t restarts() const { return restarts_; }  // ends since the last look
  // The newest end that is news, and counts; null if there is none.
  [[nodiscard]] const WorkerEntry* LatestFailure() const;

  // Writes records, replicas and ready into `status`.
  void Save(const TrainingJobSpec& spec, JobStatus& status) const;

 private:
  std::vector<WorkerEntry> workers_;
  int64_t restarts_ = 0;
};

// How this pod's worker ended; nullopt while it may still work. `member`: what its coordinator
// knows of the place, or null.
[[nodiscard]] std::optional<WorkerEnd> EndOf(const PodView& pod, const MemberView* member,
                                             double now);

// The pause before a worker's next incarnation, after so many of its ends counted, seconds:
// 1, 2, 4, ... at most 300.
[[nodiscard]] double RestartPause(int64_t failures);

}  // namespace longstride
