#include "controller/app/job_hosts.h"

#include <algorithm>

#include "core/base/log.h"
#include "core/spec/to_json.h"

namespace longstride {
namespace {

// How long the workers of a job that was taken over have to come back before they are missed.
constexpr Duration kSettle = std::chrono::seconds(8);
// Images may be pulled on some nodes and be there on others.
constexpr Duration kStartWait = std::chrono::seconds(30);
// Coordinators of one term; a job's generations are named by both, so no name comes twice.
constexpr int64_t kMostInTerm = int64_t{1} << 24;

// Workers that began to train while no status could be written.
bool MayTrain(const Observed& o) {
  return std::ranges::any_of(o.pods, [](const PodView& pod) {
    return pod.ours && pod.deleted == 0 && pod.worker == PodView::Container::kRunning;
  });
}

}  // namespace

JobHosts::~JobHosts() {
  for (const auto& [key, hosted] : hosted_) service_.RemoveJob(key);
}

std::optional<CoordinatorView> JobHosts::View(const JobKey& key, const std::string& uid) {
  CoordinatorView view;
  bool takeover = false;
  TimePoint since;
  {
    const std::lock_guard lock(mutex_);
    if (const auto former = released_.find(key);
        former != released_.end() && former->second.uid != uid)
      released_.erase(former);
    const auto it = hosted_.find(key);
    if (it == hosted_.end()) return std::nullopt;
    if (it->second.uid != uid) {
      service_.RemoveJob(key);
      hosted_.erase(it);
      return std::nullopt;
    }
    view = it->second.monitor.View();
    takeover = it->second.takeover;
    since = it->second.since;
    view.memory_kills = it->second.memory_kills;
  }
  bool settled = false;
  service_.WithJob(key, [&](Coordinator& coordinator, TimePoint) {
    settled = coordinator.settled();
    const std::vector<WorkerPlace> wanted = coordinator.wanted();
    view.wanted = static_cast<int64_t>(wanted.size());
    view.completing = coordinator.completing();
    for (const WorkerPlace& place : wanted) {
      if (const auto limit = coordinator.MicroBatchLimit(place))
        view.micro_batch_limits[place] = *limit;
    }
  });
  // The first to come may be new, and those who hold the state on their way.
  const bool unclear = !settled || view.present() == 0;
  view.settling = takeover && unclear && clock_.Now() - since < kSettle;
  return view;
}

Status JobHosts::Carry(const JobKey& key, const Observed& o, const CoordinatorOrders& orders) {
  using Hosting = CoordinatorOrders::Hosting;
  if (orders.hosting == Hosting::kRelease) {
    Release(key);
    return {};
  }
  if (orders.hosting == Hosting::kHost) LONGSTRIDE_RETURN_IF_ERROR(Host(key, o));
  const std::vector<WorkerExit> exits = Unheard(key, orders.exits);
  Status status;
  service_.WithJob(key, [&](Coordinator& coordinator, TimePoint now) {
    for (const WorkerExit& exit : exits) {
      coordinator.WorkerExited(exit.place.group, exit.place.index, exit.exit_code, exit.detail,
                               exit.had_joined, now, exit.out_of_memory);
    }
    if (orders.replicas) status = coordinator.Scale(*orders.replicas);
    if (!orders.stop.empty()) coordinator.RequestStop(orders.stop);
  });
  return status;
}

// Without those kills for want of memory that are on record, on which the others are put.
std::vector<WorkerExit> JobHosts::Unheard(const JobKey& key, std::vector<WorkerExit> exits) {
  const std::lock_guard lock(mutex_);
  const auto it = hosted_.find(key);
  if (it == hosted_.end()) return {};
  std::erase_if(exits, [&](const WorkerExit& exit) {
    return exit.out_of_memory && !it->second.memory_kills.insert(exit.pod_uid).second;
  });
  return exits;
}

Status JobHosts::Host(const JobKey& key, const Observed& o) {
  const std::lock_guard lock(mutex_);
  if (hosted_.contains(key)) return {};
  CoordinatorOptions options;
  options.job.metadata = o.metadata;
  options.job.spec = *o.spec;
  // Limits and deadlines are the controller's to judge: it knows which ends count.
  options.job.spec.run_policy.backoff_limit = 1'000'000;
  options.job.spec.run_policy.active_deadline_seconds = 0;
  options.start_wait = kStartWait;
  options.term = term_ * kMostInTerm + ++count_;
  TrainingJob shown = options.job;
  for (WorkerGroup& group : shown.spec.workers) group.pod_template = nlohmann::json::object();
  const bool takeover = o.status.Holds(kRunning) || o.status.Holds(kRestarting) || MayTrain(o);
  if (takeover) {
    Takeover& known = options.takeover.emplace();
    known.round = o.status.progress.round;
    known.samples = o.status.progress.samples;
    if (o.status.last_checkpoint) known.checkpoint = o.status.last_checkpoint->round;
  }
  LONGSTRIDE_RETURN_IF_ERROR(
      service_.AddJob(key, authenticator_, ToJson(shown).dump(), std::move(options)));
  // What was counted here and is in no status goes on, too.
  JobStatus known = o.status;
  if (const auto former = released_.find(key);
      former != released_.end() && former->second.uid == o.uid)
    known.progress.totals = Greater(known.progress.totals, former->second.totals);
  hosted_.emplace(
      key, Hosted{o.uid, JobMonitor(known, o.spec->data.placement), takeover, clock_.Now(), {}});
  LogInfo("hosts", key.namespace_ + "/" + key.name +
                       (takeover ? ": taken over" : ": its coordinator is hosted here"));
  return {};
}

void JobHosts::Release(const JobKey& key) {
  const std::lock_guard lock(mutex_);
  const auto it = hosted_.find(key);
  if (it == hosted_.end()) return;
  released_[key] = {it->second.uid, it->second.monitor.figures().totals};
  hosted_.erase(it);
  service_.RemoveJob(key);
}

void JobHosts::Forget(const JobKey& key) {
  Release(key);
  const std::lock_guard lock(mutex_);
  released_.erase(key);
}

void JobHosts::Poll(const std::function<void(const JobKey& key, bool progress)>& wake) {
  std::vector<std::pair<JobKey, bool>> changed;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [key, hosted] : hosted_) {
      bool urgent = false;
      const std::vector<Event> events = service_.WaitForEvents(key, Duration::zero());
      for (const Event& event : events) urgent = hosted.monitor.Note(event) || urgent;
      if (!events.empty()) changed.emplace_back(key, !urgent);
    }
  }
  for (const auto& [key, progress] : changed) wake(key, progress);
}

std::map<JobKey, JobFigures> JobHosts::Figures() const {
  const std::lock_guard lock(mutex_);
  std::map<JobKey, JobFigures> figures;
  for (const auto& [key, hosted] : hosted_) figures.emplace(key, hosted.monitor.figures());
  return figures;
}

std::map<JobKey, JobTotals> JobHosts::Released() const {
  const std::lock_guard lock(mutex_);
  std::map<JobKey, JobTotals> totals;
  for (const auto& [key, counted] : released_) totals.emplace(key, counted.totals);
  return totals;
}

}  // namespace longstride
