// Leader election by a coordination.k8s.io/v1 Lease, without I/O: what a candidate writes and when,
// and whether it leads. As in client-go, a foreign lease counts from when we saw it change, by our
// own monotonic clock: machines' wall clocks may differ as they like. Time is an argument. Not
// thread-safe.
//
// Safety: we stop leading `renew_deadline` after we *began* the last write that succeeded, others
// wait `lease_duration` after they saw it; so the terms of two leaders do not overlap as long as
// clocks run at about the same rate. What lies between the two is for what a leader does to end.
//
// After an outage of the API server everybody's lease has run out. Unlike client-go, who has not
// been able to read it for that long leaves the former leader two retry periods to come back: what
// leads to it, endpoints that other nodes may learn of only much later, is still right then.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "controller/kube/resource.h"
#include "core/base/clock.h"

namespace longstride::kube {

struct LeaseOptions {
  ObjectKey key;
  std::string identity;  // unique to this process: pod name + UUID
  Duration lease_duration = std::chrono::seconds(15);
  Duration renew_deadline = std::chrono::seconds(10);
  Duration retry_period = std::chrono::seconds(2);
};

// A lease as it stands on the server.
struct LeaseRecord {
  std::string holder;  // "": released
  double duration_seconds = 0;
  std::string acquire_time;
  std::string renew_time;
  int64_t transitions = 0;
  std::string resource_version;
  friend bool operator==(const LeaseRecord&, const LeaseRecord&) = default;
};

[[nodiscard]] LeaseRecord ReadLease(const Json& lease);
// The whole object, to create or to replace.
[[nodiscard]] Json WriteLease(const ObjectKey& key, const LeaseRecord& record);

class LeaseElection {
 public:
  explicit LeaseElection(LeaseOptions options) : options_(std::move(options)) {}

  // The lease was read at `now` (nullopt: there is none). What to write, or nullopt when another
  // holds it; an empty resource_version means to create. `unix_seconds` is for the record's times.
  [[nodiscard]] std::optional<LeaseRecord> Observe(const std::optional<LeaseRecord>& record,
                                                   TimePoint now, double unix_seconds);
  // A write that began at `began` succeeded and stands as `record` now.
  void Written(const LeaseRecord& record, TimePoint began);
  // Gives leadership up, if we have it: what to write so that others need not wait.
  [[nodiscard]] std::optional<LeaseRecord> Release(double unix_seconds);

  // How long a candidate waits until it looks again: half to a whole retry period as `lot`, in
  // [0, 1), has it, but not beyond the end of a lease that another holds. So a leader that is gone
  // is replaced one lease and at most one retry period after its last sign.
  [[nodiscard]] Duration UntilNextLook(TimePoint now, double lot) const;

  [[nodiscard]] bool Leads(TimePoint now) const { return leading_ && now < leads_until_; }
  // When leadership ends unless a write succeeds.
  [[nodiscard]] TimePoint leads_until() const { return leads_until_; }
  // Grows with every leader, also when the lease was deleted between: its transitions. Meaningful
  // while Leads().
  [[nodiscard]] int64_t term() const { return observed_ ? observed_->transitions : 0; }
  // Who leads, as far as we know; "" if unknown.
  [[nodiscard]] std::string holder() const { return observed_ ? observed_->holder : ""; }

 private:
  // When the lease that another holds runs out; nothing if it is ours or nobody's.
  [[nodiscard]] std::optional<TimePoint> HeldUntil() const;

  const LeaseOptions options_;
  std::optional<LeaseRecord> observed_;
  TimePoint observed_at_{};
  std::optional<TimePoint> read_at_;
  TimePoint former_until_{};  // after an outage: its former holder's turn
  TimePoint leads_until_{};
  bool leading_ = false;
  int64_t highest_transitions_ = 0;
};

}  // namespace longstride::kube
