// The coordinators that this controller hosts while it leads, one for each job that is to train.
// Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "controller/http/coordinator_service.h"
#include "controller/reconcile/desired.h"
#include "controller/reconcile/job_monitor.h"
#include "controller/reconcile/observed.h"
#include "core/base/clock.h"
#include "core/base/result.h"

namespace longstride {

class JobHosts {
 public:
  // `term`: of this leadership. `authenticator` decides who is a job's worker. `service` and
  // `clock` must outlive the hosts.
  JobHosts(CoordinatorService& service, std::shared_ptr<Authenticator> authenticator, int64_t term,
           const Clock& clock)
      : service_(service), authenticator_(std::move(authenticator)), term_(term), clock_(clock) {}
  ~JobHosts();

  // What the job's coordinator knows now; nullopt when it is not hosted. A job of that name with
  // another UID is one that was deleted: its hosting ends.
  [[nodiscard]] std::optional<CoordinatorView> View(const JobKey& key, const std::string& uid);

  // Carries out `orders` for the job `o`. kUser when it cannot be hosted.
  Status Carry(const JobKey& key, const Observed& o, const CoordinatorOrders& orders);
  // The job is no more.
  void Forget(const JobKey& key);

  // Takes in what has happened, in all jobs; `wake` is told of each job whose decision may come out
  // differently (`progress` false), or that has made progress. Call it about ten times a second.
  void Poll(const std::function<void(const JobKey& key, bool progress)>& wake);

  // What was counted in each job that is hosted here.
  [[nodiscard]] std::map<JobKey, JobFigures> Figures() const;
  // What was counted in each job that was hosted here, when its hosting ended: its status may have
  // been written before. Read it after Figures, so that no job is missed between the two.
  [[nodiscard]] std::map<JobKey, JobTotals> Released() const;

 private:
  struct Hosted {
    std::string uid;
    JobMonitor monitor;
    bool takeover = false;
    TimePoint since;
    std::set<std::string> memory_kills;  // UIDs of pods
  };

  struct Counted {
    std::string uid;
    JobTotals totals;
  };

  Status Host(const JobKey& key, const Observed& o);
  void Release(const JobKey& key);
  std::vector<WorkerExit> Unheard(const JobKey& key, std::vector<WorkerExit> exits);

  CoordinatorService& service_;
  const std::shared_ptr<Authenticator> authenticator_;
  const int64_t term_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::map<JobKey, Hosted> hosted_;
  std::map<JobKey, Counted> released_;  // also of jobs that are hosted again
  int64_t count_ = 0;                   // coordinators so far, in this term
};

}  // namespace longstride
