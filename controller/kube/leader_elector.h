// Runs LeaseElection against the API server. While we lead, `lead` runs on a thread of its own;
// when leadership is lost its stop token is triggered and, once it has returned, we are a candidate
// again: an outage of the API server ends leadership, not the process.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "controller/kube/client.h"
#include "controller/kube/lease_election.h"

namespace longstride::kube {

struct LeaderCallbacks {
  // The leader's scope: returns soon after `stop` is triggered. `term` is greater than that of
  // every leader before. Returning unasked resigns.
  std::function<void(int64_t term, std::stop_token stop)> lead;
  // `lead` has not returned within `stop_limit`, or within what the lease leaves beyond the renew
  // deadline if that is less; another may lead by now. To exit is the only safe answer.
  std::function<void()> stuck;
  Duration stop_limit = std::chrono::seconds(5);
};

// Runs from construction to destruction (or Stop). `client` and `clock` must outlive it.
class LeaderElector {
 public:
  LeaderElector(Client& client, LeaseOptions options, LeaderCallbacks callbacks,
                const Clock& clock);
  ~LeaderElector() { Stop(); }

  // Ends `lead`, then releases the lease so that another can take it at once. Idempotent.
  void Stop();
  [[nodiscard]] bool leading() const { return leading_; }
  // Who holds the lease, as far as we know.
  [[nodiscard]] std::string holder() const;

 private:
  class Scope;

  void Run(const std::stop_token& stop);
  void TryOnce(const std::stop_token& stop);
  void EndScope(std::unique_ptr<Scope>& scope);
  // Of leadership, unless a write succeeds; 0 when we do not lead.
  [[nodiscard]] Duration TimeLeft() const;
  [[nodiscard]] Duration UntilNextLook(double lot) const;
  // No request outlives the leadership that it is to renew, its wait for credentials included; and
  // none waits for a turn behind what the leader does.
  [[nodiscard]] CallOptions CallLimits(const std::stop_token& stop) const;
  void Release();

  Client& client_;
  const LeaseOptions options_;
  const LeaderCallbacks callbacks_;
  const Clock& clock_;
  mutable std::mutex mutex_;  // guards election_
  LeaseElection election_;
  std::atomic<bool> leading_{false};
  std::jthread thread_;
};

}  // namespace longstride::kube
