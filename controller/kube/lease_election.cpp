#include "controller/kube/lease_election.h"

#include <algorithm>
#include <cmath>

#include "core/base/timestamps.h"

namespace longstride::kube {
namespace {

// 2025-01-01 in Unix seconds. Counted from here in seconds, the transitions of a lease that is made
// anew lie above those of any that was there before, fit the API's 32 bits until 2093, and terms
// made of them a double's 53 bits until 2042.
constexpr double kFirstTransition = 1735689600;

}  // namespace

LeaseRecord ReadLease(const Json& lease) {
  LeaseRecord record;
  record.holder = StringAt(lease, "/spec/holderIdentity");
  const Json& duration = ValueAt(lease, "/spec/leaseDurationSeconds");
  if (duration.is_number()) record.duration_seconds = duration.get<double>();
  record.acquire_time = StringAt(lease, "/spec/acquireTime");
  record.renew_time = StringAt(lease, "/spec/renewTime");
  const Json& transitions = ValueAt(lease, "/spec/leaseTransitions");
  if (transitions.is_number_integer()) record.transitions = transitions.get<int64_t>();
  record.resource_version = ResourceVersionOf(lease);
  return record;
}

Json WriteLease(const ObjectKey& key, const LeaseRecord& record) {
  Json lease = {
      {"apiVersion", Leases().ApiVersion()},
      {"kind", Leases().kind},
      {"metadata", {{"namespace", key.namespace_}, {"name", key.name}}},
      {"spec",
       {{"holderIdentity", record.holder},
        // Whole seconds, of which others may wait too many but not too few.
        {"leaseDurationSeconds", static_cast<int64_t>(std::ceil(record.duration_seconds))},
        {"acquireTime", record.acquire_time},
        {"renewTime", record.renew_time},
        {"leaseTransitions", record.transitions}}}};
  if (!record.resource_version.empty()) {
    lease["metadata"]["resourceVersion"] = record.resource_version;
  }
  return lease;
}

std::optional<LeaseRecord> LeaseElection::Observe(const std::optional<LeaseRecord>& record,
                                                  TimePoint now, double unix_seconds) {
  if (!Leads(now)) leading_ = false;
  if (read_at_ && now - *read_at_ > options_.lease_duration)
    former_until_ = now + 2 * options_.retry_period;
  read_at_ = now;
  if (record != observed_) {
    observed_ = record;
    observed_at_ = now;
  }
  if (observed_) highest_transitions_ = std::max(highest_transitions_, observed_->transitions);

  const bool ours = observed_ && observed_->holder == options_.identity;
  if (!ours) leading_ = false;
  if (const auto until = HeldUntil(); until && now < *until) return std::nullopt;

  LeaseRecord wanted;
  wanted.holder = options_.identity;
  wanted.duration_seconds = ToSeconds(options_.lease_duration);
  wanted.renew_time = FormatMicroTime(unix_seconds);
  if (observed_) wanted.resource_version = observed_->resource_version;
  if (leading_) {
    wanted.acquire_time = observed_->acquire_time;
    wanted.transitions = observed_->transitions;
  } else {
    wanted.acquire_time = wanted.renew_time;
    wanted.transitions = highest_transitions_ + 1;
    if (!observed_) {
      wanted.transitions =
          std::max(wanted.transitions, static_cast<int64_t>(unix_seconds - kFirstTransition));
    }
  }
  return wanted;
}

std::optional<TimePoint> LeaseElection::HeldUntil() const {
  if (!observed_ || observed_->holder.empty() || observed_->holder == options_.identity)
    return std::nullopt;
  return std::max(observed_at_ + FromSeconds(observed_->duration_seconds), former_until_);
}

Duration LeaseElection::UntilNextLook(TimePoint now, double lot) const {
  const Duration pause = FromSeconds(ToSeconds(options_.retry_period) * (1 + lot) / 2);
  const auto until = HeldUntil();
  return until && now < *until ? std::min(pause, *until - now) : pause;
}

void LeaseElection::Written(const LeaseRecord& record, TimePoint began) {
  observed_ = record;
  observed_at_ = began;
  highest_transitions_ = std::max(highest_transitions_, record.transitions);
  leading_ = true;
  leads_until_ = began + options_.renew_deadline;
}

std::optional<LeaseRecord> LeaseElection::Release(double unix_seconds) {
  if (!leading_) return std::nullopt;
  leading_ = false;
  LeaseRecord released = *observed_;
  released.holder.clear();
  released.duration_seconds = 1;
  released.renew_time = FormatMicroTime(unix_seconds);
  return released;
}

}  // namespace longstride::kube
