#include "controller/kube/leader_elector.h"

#include <algorithm>
#include <condition_variable>
#include <memory>

#include "controller/kube/stoppable_wait.h"
#include "core/base/format.h"
#include "core/base/log.h"
#include "core/base/random.h"

namespace longstride::kube {
namespace {

constexpr Duration kReleaseDeadline = std::chrono::seconds(2);

}  // namespace

// The thread on which we lead.
class LeaderElector::Scope {
 public:
  Scope(const LeaderCallbacks& callbacks, int64_t term)
      : thread_([this, &callbacks, term](const std::stop_token& stop) {
          callbacks.lead(term, stop);
          const std::lock_guard lock(mutex_);
          returned_ = true;
          changed_.notify_all();
        }) {}

  // Waits up to `duration` for `lead` to return by itself, less if `stop` comes. True if it has.
  bool WaitReturned(Duration duration, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, stop, duration, [this] { return returned_; });
  }
  // Asks `lead` to return; false if it has not within `limit`.
  bool End(Duration limit) {
    thread_.request_stop();
    return WaitReturned(limit, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool returned_ = false;
  std::jthread thread_;
};

LeaderElector::LeaderElector(Client& client, LeaseOptions options, LeaderCallbacks callbacks,
                             const Clock& clock)
    : client_(client),
      options_(options),
      callbacks_(std::move(callbacks)),
      clock_(clock),
      election_(std::move(options)),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

void LeaderElector::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

std::string LeaderElector::holder() const {
  const std::lock_guard lock(mutex_);
  return election_.holder();
}

void LeaderElector::Run(const std::stop_token& stop) {
  SeededRandom random(std::hash<std::string>{}(options_.identity));
  std::unique_ptr<Scope> scope;
  while (!stop.stop_requested()) {
    TryOnce(stop);
    const Duration left = TimeLeft();
    if (left > Duration::zero() && !scope) {
      const std::lock_guard lock(mutex_);
      LogInfo("kube", Format("leading, term %lld", static_cast<long long>(election_.term())));
      scope = std::make_unique<Scope>(callbacks_, election_.term());
      leading_ = true;
    }
    if (scope) {
      const bool resigned = scope->WaitReturned(std::min(options_.retry_period, left), stop);
      if (resigned || TimeLeft() <= Duration::zero()) EndScope(scope);
      if (!resigned) continue;
      Release();
    }
    // Apart from one another, so that candidates do not all ask at once.
    (void)WaitFor(UntilNextLook(random.NextUniform()), stop);
  }
  EndScope(scope);
  Release();
}

void LeaderElector::EndScope(std::unique_ptr<Scope>& scope) {
  if (!scope) return;
  LogInfo("kube", "leading no more");
  leading_ = false;
  const Duration limit =
      std::min(callbacks_.stop_limit, options_.lease_duration - options_.renew_deadline);
  if (!scope->End(limit) && callbacks_.stuck) callbacks_.stuck();
  scope.reset();
}

Duration LeaderElector::TimeLeft() const {
  const std::lock_guard lock(mutex_);
  const TimePoint now = clock_.Now();
  return election_.Leads(now) ? election_.leads_until() - now : Duration::zero();
}

Duration LeaderElector::UntilNextLook(double lot) const {
  const std::lock_guard lock(mutex_);
  return election_.UntilNextLook(clock_.Now(), lot);
}

CallOptions LeaderElector::CallLimits(const std::stop_token& stop) const {
  return {leading_ ? TimeLeft() : options_.renew_deadline, stop, /*throttled=*/false};
}

void LeaderElector::TryOnce(const std::stop_token& stop) {
  const auto lease = client_.Get(Leases(), options_.key, CallLimits(stop));
  std::optional<LeaseRecord> record;
  if (lease.ok()) {
    record = ReadLease(*lease);
  } else if (lease.error().reason != ApiReason::kNotFound) {
    if (!stop.stop_requested()) LogWarning("kube", lease.error().message);
    return;
  }

  const TimePoint began = clock_.Now();
  std::optional<LeaseRecord> wanted;
  {
    const std::lock_guard lock(mutex_);
    wanted = election_.Observe(record, began, clock_.UnixSeconds());
  }
  if (!wanted) return;
  // What we took after the lease was lost would be of a new term: the old one's scope ends first.
  if (leading_ && TimeLeft() <= Duration::zero()) return;
  const Json object = WriteLease(options_.key, *wanted);
  const auto written = wanted->resource_version.empty()
                           ? client_.Create(Leases(), object, CallLimits(stop))
                           : client_.Update(Leases(), object, CallLimits(stop));
  if (!written.ok()) {  // another was faster, or nobody answers: the next attempt will tell
    const bool faster = written.error().reason == ApiReason::kAlreadyExists ||
                        written.error().reason == ApiReason::kConflict;
    if (!stop.stop_requested() && !faster) LogWarning("kube", written.error().message);
    return;
  }
  const std::lock_guard lock(mutex_);
  election_.Written(ReadLease(*written), began);
}

void LeaderElector::Release() {
  std::optional<LeaseRecord> released;
  {
    const std::lock_guard lock(mutex_);
    released = election_.Release(clock_.UnixSeconds());
  }
  if (!released) return;
  const auto written =
      client_.Update(Leases(), WriteLease(options_.key, *released),
                     CallOptions{.deadline = kReleaseDeadline, .stop = {}, .throttled = false});
  if (!written.ok()) LogWarning("kube", written.error().message);
}

}  // namespace longstride::kube
