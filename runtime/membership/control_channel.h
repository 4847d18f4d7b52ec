// The engine's ControlChannel over a CoordinatorClient, and the worker's sign of life. Two threads
// of its own: one sends reports in order and brings plans back, one sends heartbeats.
//
// While the coordinator cannot be reached, training goes on: reports wait here and are sent when it
// is back. Reports are kept until their round is known to be committed, so that a coordinator that
// was started anew, and answers that it does not know this worker, is given them again when the
// worker registers. At most kMaxUnsettledReports are kept; beyond that the oldest are given up.
// Construct it right after Join. Thread-safe.
#pragma once

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

// Short against the limit of silence (2.5 s), as it is also how members hear of a lost peer that
// they wait for.
inline constexpr Duration kHeartbeatPeriod = std::chrono::milliseconds(500);

class QueuedControlChannel final : public ControlChannel {
 public:
  // `over` is called when the present generation is over (kReform, kFenced, kEnded with the
  // reason), at most once per generation, on a thread of this class; it should abort the collective
  // and must not block or call back. `silent`: the ranks of a generation that do not answer
  // (Tether), told with each heartbeat; may be empty. The destructor stops both threads, within 5 s
  // if a request is under way.
  QueuedControlChannel(std::shared_ptr<CoordinatorClient> client, JoinRequest join,
                       std::function<void(const HeartbeatReply&)> over,
                       std::function<std::vector<int64_t>(GenerationId)> silent = {},
                       Duration heartbeat_period = kHeartbeatPeriod);
  ~QueuedControlChannel() override;

  // A generation begins: its plans are known from now on, heartbeats and `over` are about it.
  // `round`: committed in the state that this worker holds.
  void Enter(const Generation& generation, int64_t round);
  // The worker has left the generation, with that many rounds committed.
  void Left(int64_t round);
  // The worker ends, and goes into no generation any more.
  void Leaving();

  // The next heartbeat is due now: there is news.
  void HeartbeatNow();

  std::vector<Plan> Plans() override;
  BoundaryRequest Requested() override;
  void Report(const RoundReport& report) override;

  // Why the coordinator wants to stop; "" if it does not.
  [[nodiscard]] std::string stop_reason() const;

  // Waits until every report is taken; kTransient after `timeout`. Call it before Leave.
  Status Flush(Duration timeout);

 private:
  void RunHeartbeats();
  void RunReports();
  void Register();
  // What an answer to a request about `generation` says.
  void Take(const HeartbeatReply& reply, GenerationId generation);
  // Both under mutex_.
  void TakeRequests(bool stop, const std::string& reason, bool reform);
  void AddPlans(const std::vector<Plan>& plans);
  void AddTotals(const RoundReport& report);
  void DropOldest();
  void DropAll();

  const std::shared_ptr<CoordinatorClient> client_;
  const JoinRequest join_;
  const std::function<void(const HeartbeatReply&)> over_;
  const std::function<std::vector<int64_t>(GenerationId)> silent_;
  const Duration heartbeat_period_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;     // work for a thread, or the end
  std::condition_variable drained_;  // every report was taken
  bool closing_ = false;
  bool heartbeat_now_ = false;
  Generation generation_;  // the last one entered; its plans are in plans_
  bool left_ = false;
  bool leaving_ = false;
  bool over_told_ = true;  // nothing to tell before the first generation
  int64_t round_ = 0;
  bool stop_ = false;
  std::string stop_reason_;
  bool reform_ = false;              // of the present generation
  std::vector<Plan> plans_;          // that may still govern a round, by first_round
  std::deque<RoundReport> reports_;  // rounds not known to be committed
  size_t taken_ = 0;                 // how many of them the coordinator has taken
  int64_t settled_ = 0;              // rounds up to here need no report
  WorkerTotals totals_;
  std::optional<CommittedCheckpoint> checkpoint_;  // the newest that a report told of

  std::thread heartbeat_thread_;
  std::thread report_thread_;
};

}  // namespace longstride
