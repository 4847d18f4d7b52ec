// What a leader does: hosts coordinators and looks after every job, from the moment it leads until
// it no longer does. The caches outlive it, so that a standby has them warm.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "controller/app/job_hosts.h"
#include "controller/app/reconciler.h"
#include "controller/kube/cache.h"
#include "controller/kube/client.h"
#include "controller/kube/event_recorder.h"
#include "controller/kube/work_queue.h"
#include "core/base/clock.h"

namespace longstride {

struct LeadershipOptions {
  ReconcilerOptions reconciler;
  int threads = 4;
  Duration poll = std::chrono::milliseconds(100);  // of the coordinators' events
  // Rounds of a job are looked at together, so often.
  Duration progress_delay = std::chrono::seconds(2);
};

// From construction to destruction, which returns when all its threads have ended. References must
// outlive it; both caches are synced.
class Leadership {
 public:
  // Looks at every job of `jobs`; once each had its turn, and with it its coordinator, `all_hosted`
  // is called on one of the threads.
  Leadership(LeadershipOptions options, int64_t term, kube::Client& client, const kube::Cache& jobs,
             const kube::Cache& pods, CoordinatorService& service,
             std::shared_ptr<Authenticator> authenticator, kube::EventRecorder& recorder,
             std::function<void()> all_hosted, const Clock& clock);
  ~Leadership();

  // The caches' handlers, while this leads.
  void JobChanged(const kube::ObjectKey& key) { queue_.Add(key); }

  [[nodiscard]] const Reconciler& reconciler() const { return reconciler_; }
  [[nodiscard]] const JobHosts& hosts() const { return hosts_; }
  [[nodiscard]] kube::QueueCounts queue() const { return queue_.counts(); }

 private:
  void HadItsTurn(const kube::ObjectKey& key);

  const LeadershipOptions options_;
  const std::function<void()> all_hosted_;
  std::mutex mutex_;
  std::set<kube::ObjectKey> unseen_;  // jobs that had no turn yet
  std::stop_source stop_;
  JobHosts hosts_;
  Reconciler reconciler_;
  kube::WorkQueue queue_;
  std::unique_ptr<kube::Workers> workers_;
  std::jthread poller_;
};

}  // namespace longstride
