// The engine's ControlChannel over a CoordinatorClient, and the worker's sign of life. Two threads
// of its own: one sends reports in order and brings plans back, one sends a heartbeat every second.
//
// While the coordinator cannot be reached, training goes on: reports wait here, all of them, and
// are sent when it is back. Construct it right after Join. Thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "runtime/membership/membership.h"
#include "runtime/training/control_channel.h"

namespace longstride {

class QueuedControlChannel final : public ControlChannel {
 public:
  // `over` is called when the present generation is over (kReform, kFenced, kEnded with the
  // reason), at most once per generation, on a thread of this class; it should abort the collective
  // and must not block or call back. The destructor stops both threads, within 5 s if a request is
  // under way.
  QueuedControlChannel(std::shared_ptr<CoordinatorClient> client, WorkerId worker,
                       std::function<void(const HeartbeatReply&)> over,
                       Duration heartbeat_period = std::chrono::seconds(1));
  ~QueuedControlChannel() override;

  // A generation begins: its plans are known from now on, heartbeats and `over` are about it.
  void Enter(const Generation& generation);

  std::vector<Plan> Plans() override;
  bool StopRequested() override { return stop_.load(std::memory_order_acquire); }
  void Report(const RoundReport& report) override;

  // The worker wants to stop, as on SIGTERM. Async-signal-safe.
  void RequestStop() { stop_.store(true, std::memory_order_release); }
  // Why the coordinator wants to stop; "" if it does not.
  [[nodiscard]] std::string stop_reason() const;

  // Waits until every report is acknowledged; kTransient after `timeout`. Call it before Leave.
  Status Flush(Duration timeout);

 private:
  void RunHeartbeats();
  void RunReports();
  void Take(const HeartbeatReply& reply);
  void TakeStop(const std::string& reason);       // under mutex_
  void AddPlans(const std::vector<Plan>& plans);  // under mutex_

  const std::shared_ptr<CoordinatorClient> client_;
  const WorkerId worker_;
  const std::function<void(const HeartbeatReply&)> over_;
  const Duration heartbeat_period_;
  std::atomic<bool> stop_{false};

  mutable std::mutex mutex_;
  std::condition_variable wake_;     // work for a thread, or the end
  std::condition_variable drained_;  // the queue became empty
  bool closing_ = false;
  GenerationId generation_;
  bool over_told_ = true;  // nothing to tell before the first generation
  int64_t round_ = 0;
  std::string stop_reason_;
  std::vector<Plan> plans_;  // by first_round
  std::deque<RoundReport> queue_;

  std::thread heartbeats_;
  std::thread reports_;
};

}  // namespace longstride
