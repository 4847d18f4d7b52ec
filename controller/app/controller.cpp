#include "controller/app/controller.h"

#include <algorithm>
#include <condition_variable>
#include <utility>

#include "controller/app/controller_metrics.h"
#include "controller/app/objects.h"
#include "controller/reconcile/labels.h"
#include "controller/reconcile/pod_builder.h"
#include "core/base/log.h"

namespace longstride {
namespace {

constexpr Duration kSyncLimit = std::chrono::minutes(5);
constexpr Duration kFlushLimit = std::chrono::seconds(2);
constexpr Duration kPublishPeriod = std::chrono::seconds(30);
constexpr Duration kPublishRetry = std::chrono::seconds(1);
constexpr int kReviewThreads = 4;

// The job that a pod belongs to, by its labels; nullopt if it is no worker.
std::optional<kube::ObjectKey> JobOf(const kube::ObjectPtr& pod) {
  const nlohmann::json& labels = kube::ValueAt(pod->value, "/metadata/labels");
  if (!labels.is_object() || !labels.contains(kJobNameLabel)) return std::nullopt;
  const nlohmann::json& name = labels[kJobNameLabel];
  return kube::ObjectKey{pod->key.namespace_, name.is_string() ? name.get<std::string>() : ""};
}

void WaitFor(Duration time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any waiting;
  std::unique_lock lock(mutex);
  waiting.wait_for(lock, stop, time, [] { return false; });
}

class HealthHandler final : public HttpHandler {
 public:
  explicit HealthHandler(const Controller& controller) : controller_(controller) {}
  void Handle(HttpRequest request, Respond respond) override {
    if (request.path == "/healthz") return respond({200, "ok\n", "text/plain"});
    if (request.path == "/metrics")
      return respond({200, controller_.Metrics(), "text/plain; version=0.0.4"});
    if (request.path != "/readyz") return respond({404, "not found\n", "text/plain"});
    if (controller_.ready()) return respond({200, "ok\n", "text/plain"});
    respond({503, "the caches are not filled yet\n", "text/plain"});
  }

 private:
  const Controller& controller_;
};

}  // namespace

Controller::Controller(ControllerConfig config, kube::Client& client, CoordinatorService& service,
                       const Clock& clock)
    : config_(std::move(config)),
      client_(client),
      service_(service),
      clock_(clock),
      jobs_(ProjectJob),
      pods_(ProjectPod),
      pod_index_(jobs_),
      recorder_(client, {.instance = config_.lease.identity}, clock) {
  jobs_.AddHandlers({[this](const kube::ObjectPtr& job) { Wake(job->key); },
                     [this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
                       if (IsNews(before->value, after->value)) Wake(after->key);
                     },
                     [this](const kube::ObjectPtr& job) { Wake(job->key); }});
  const auto wake_owner = [this](const kube::ObjectPtr& pod) {
    if (const auto job = JobOf(pod)) Wake(*job);
  };
  pods_.AddHandlers({wake_owner,
                     [wake_owner](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
                       if (before->value != after->value) wake_owner(after);
                     },
                     wake_owner});
  pods_.AddHandlers(pod_index_.Handlers());
  reviewer_ = std::make_unique<ApiTokenReviewer>(client, kReviewThreads);
  authenticator_ =
      std::make_shared<TokenReviewAuthenticator>(*reviewer_, pod_index_, clock, kTokenAudience);
  service_.StandBy(0);
  kube::ReflectorOptions jobs;
  jobs.resource = kube::TrainingJobs();
  jobs.namespace_ = config_.namespace_;
  job_reflector_ = std::make_unique<kube::Reflector>(client, jobs_, jobs, clock);
  kube::ReflectorOptions pods;
  pods.resource = kube::Pods();
  pods.namespace_ = config_.namespace_;
  pods.label_selector = kJobNameLabel;
  pod_reflector_ = std::make_unique<kube::Reflector>(client, pods_, pods, clock);
  kube::LeaderCallbacks callbacks;
  callbacks.lead = [this](int64_t term, const std::stop_token& stop) { Lead(term, stop); };
  callbacks.stuck = config_.stuck;
  elector_ = std::make_unique<kube::LeaderElector>(client, config_.lease, callbacks, clock);
}

void Controller::Stop() {
  if (elector_) elector_->Stop();
  if (job_reflector_) job_reflector_->Stop();
  if (pod_reflector_) pod_reflector_->Stop();
  recorder_.Flush(kFlushLimit);
}

bool Controller::ready() const {
  return jobs_.synced() && pods_.synced();
}

void Controller::Wake(const kube::ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  if (leadership_ != nullptr) leadership_->JobChanged(key);
}

void Controller::WakeAll() {
  for (const kube::ObjectPtr& job : jobs_.All()) Wake(job->key);
}

void Controller::Lead(int64_t term, const std::stop_token& stop) {
  // A look at half-filled caches would find every pod missing.
  if (!jobs_.WaitSynced(kSyncLimit, stop) || !pods_.WaitSynced(kSyncLimit, stop)) return;
  LogInfo("controller", "leads, term " + std::to_string(term));
  {
    // Workers of jobs that are not hosted yet are asked for patience until all are.
    Leadership leadership(
        config_.leadership, term, client_, jobs_, pods_, service_, authenticator_, recorder_,
        [this] { service_.Lead(); }, clock_);
    {
      const std::lock_guard lock(mutex_);
      leadership_ = &leadership;
    }
    WakeAll();
    PublishAddress(stop);
    const std::lock_guard lock(mutex_);
    leadership_ = nullptr;
  }
  service_.StandBy(term);
  LogInfo("controller", "leads no longer");
}

void Controller::PublishAddress(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Duration wait = kPublishPeriod;
    if (!config_.address.empty()) {
      // Again and again, as a leader before us may write late.
      const std::string& namespace_ = config_.lease.key.namespace_;
      const kube::CallOptions call{std::chrono::seconds(5), stop};
      const auto service = client_.Get(kube::Services(), {namespace_, config_.service}, call);
      const auto applied =
          client_.Apply(kube::EndpointSlices(),
                        LeaderSlice(namespace_, config_.service,
                                    service.ok() ? kube::UidOf(*service) : std::string(),
                                    config_.address, config_.port),
                        /*force=*/true, call);
      if (!applied.ok() && !stop.stop_requested()) {
        LogWarning("controller", applied.error().message);
        wait = kPublishRetry;
      }
    }
    WaitFor(wait, stop);
  }
}

std::string Controller::Metrics() const {
  ControllerFigures figures;
  figures.leading = leading();
  figures.threads = config_.leadership.threads;
  figures.api_requests = client_.requests();
  for (const auto& [resource, reflector] : {std::pair(&kube::TrainingJobs(), job_reflector_.get()),
                                            std::pair(&kube::Pods(), pod_reflector_.get())}) {
    // The first watch is no restart.
    figures.watch_restarts[resource->kind] = std::max<int64_t>(0, reflector->counts().watches - 1);
  }
  figures.worker_requests = service_.answers();
  figures.events_dropped = recorder_.dropped();
  figures.process = ReadProcessUsage();
  {
    const std::lock_guard lock(mutex_);
    if (leadership_ != nullptr) {
      figures.queue = leadership_->queue();
      figures.hosted = leadership_->hosts().Figures();
      figures.released = leadership_->hosts().Released();
      figures.reconciles = leadership_->reconciler().times();
      figures.jobs = leadership_->reconciler().Statuses();
    }
  }
  return MetricsText(figures, clock_.UnixSeconds());
}

std::unique_ptr<HttpHandler> MakeHealthHandler(const Controller& controller) {
  return std::make_unique<HealthHandler>(controller);
}

}  // namespace longstride
