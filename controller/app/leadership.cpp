#include "controller/app/leadership.h"

#include <condition_variable>

namespace longstride {
namespace {

// What refuses us (a webhook, a policy) may be mended at any time.
constexpr Duration kLongestRetry = std::chrono::minutes(1);

}  // namespace

Leadership::Leadership(LeadershipOptions options, int64_t term, kube::Client& client,
                       const kube::Cache& jobs, const kube::Cache& pods,
                       CoordinatorService& service, std::shared_ptr<Authenticator> authenticator,
                       kube::EventRecorder& recorder, std::function<void()> all_hosted,
                       const Clock& clock)
    : options_(std::move(options)),
      all_hosted_(std::move(all_hosted)),
      hosts_(service, std::move(authenticator), term, clock),
      reconciler_(options_.reconciler, client, jobs, pods, hosts_, recorder, clock),
      queue_(clock, {.longest_retry = kLongestRetry}) {
  for (const kube::ObjectPtr& job : jobs.All()) unseen_.insert(job->key);
  if (unseen_.empty()) all_hosted_();
  for (const kube::ObjectKey& key : unseen_) queue_.Add(key);
  workers_ =
      std::make_unique<kube::Workers>(queue_, options_.threads, [this](const kube::ObjectKey& key) {
        const kube::Outcome outcome = reconciler_.Reconcile(key, stop_.get_token());
        HadItsTurn(key);
        return outcome;
      });
  poller_ = std::jthread([this](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any waiting;
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
      hosts_.Poll([this](const JobKey& key, bool progress) {
        const kube::ObjectKey job{key.namespace_, key.name};
        progress ? queue_.AddAfter(job, options_.progress_delay) : queue_.Add(job);
      });
      waiting.wait_for(lock, stop, options_.poll, [] { return false; });
    }
  });
}

void Leadership::HadItsTurn(const kube::ObjectKey& key) {
  {
    const std::lock_guard lock(mutex_);
    if (unseen_.erase(key) == 0 || !unseen_.empty()) return;
  }
  all_hosted_();
}

Leadership::~Leadership() {
  stop_.request_stop();
  poller_.request_stop();
  queue_.ShutDown();
  workers_.reset();
}

}  // namespace longstride
