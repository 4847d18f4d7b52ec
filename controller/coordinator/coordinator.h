// The coordinator of one job: who takes part, in which generation, under which plan, and what they
// have committed. A state machine without sockets, threads or clock: the host passes requests and
// the time in, and takes replies and events out. Not thread-safe.
//
// Long polls: a method that cannot answer yet returns nullopt. The host parks the request and asks
// again after any later call, until the poll's own time limit.
//
// In this version a lost worker ends the job; so does any disagreement between members.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/coordinator/events.h"
#include "controller/coordinator/key_value_store.h"
#include "controller/coordinator/planner.h"
#include "controller/coordinator/round_ledger.h"
#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "core/spec/training_job.h"

namespace longstride {

enum class CoordinatorMode {
  kTrain,
  kPlanOnly,  // ends with kPlanned once all have joined and the plan is made
};

struct CoordinatorOptions {
  TrainingJob job;
  int64_t term = 1;
  CoordinatorMode mode = CoordinatorMode::kTrain;
  // When a run is resumed or replayed: its plans as they took effect (PlanHistory) and its last
  // round.
  std::vector<Plan> recorded_plans;
  int64_t recorded_rounds = 0;
  Duration heartbeat_limit =
      std::chrono::milliseconds(2500);  // silence after which a worker is dead
  // On top of the limit after this coordinator starts or was itself held up: clients back off.
  Duration reconnect_grace = std::chrono::seconds(2);
};

class Coordinator {
 public:
  Coordinator(CoordinatorOptions options, TimePoint now);

  // A worker takes its place; a newer incarnation takes over from the one before. From here on it
  // must send heartbeats. Errors: kUser (protocol version, unknown group, index out of range, no
  // place left), kInterrupted or the failure's code when the job has ended.
  Status Join(const JoinRequest& request, TimePoint now);

  // The worker's generation, if one newer than `after` is formed; or that the job is over.
  [[nodiscard]] std::optional<GenerationReply> PollGeneration(
      const GenerationRequest& request) const;

  HeartbeatReply Heartbeat(const HeartbeatRequest& request, TimePoint now);

  // Errors: kLostPeer when fenced (older generation or incarnation), kUser for a wrong rank,
  // kTransient when too many rounds are incomplete.
  Result<RoundReply> Report(const ReportRequest& request, TimePoint now);

  // Exit codes 0 and 7 (interrupted) are a good end; any other ends the job.
  Status Leave(const LeaveRequest& request, TimePoint now);

  // The launcher saw the worker's process end. `detail`: "exited with code 3", "was killed by
  // signal 9".
  void WorkerExited(const std::string& group, int64_t index, int exit_code,
                    const std::string& detail, TimePoint now);

  // kLostPeer when the generation is not the present one; kResource when full.
  Status StoreSet(const StoreSetRequest& request);
  // Every key, once there are `count`; with `now_or_never`, whatever there is. kLostPeer as for
  // StoreSet.
  [[nodiscard]] Result<std::optional<StoreReply>> StoreRead(const StoreReadRequest& request,
                                                            bool now_or_never) const;

  // Members stop at the next round boundary, with a checkpoint. The first reason stays.
  void RequestStop(const std::string& reason);

  // Lets time act: silent workers, deadlines. Call it about ten times a second.
  void Tick(TimePoint now);

  // What has happened since the last call, in order.
  [[nodiscard]] std::vector<Event> DrainEvents() { return std::exchange(events_, {}); }

  [[nodiscard]] const std::optional<JobEnd>& end() const { return end_; }
  // No worker is left that might still ask: the host may close.
  [[nodiscard]] bool quiet() const;
  [[nodiscard]] const RoundLedger& ledger() const { return ledger_; }
  [[nodiscard]] const std::vector<Plan>& plans() const { return planner_.plans(); }
  [[nodiscard]] const TrainingJob& job() const { return options_.job; }

 private:
  using Place = std::pair<std::string, int64_t>;  // (group, index): sorts as ranks do
  enum class Phase { kJoined, kMember, kLeft, kLost };
  struct Worker {
    JoinRequest join;
    Phase phase = Phase::kJoined;
    TimePoint last_seen;
    int exit_code = 0;
  };
  // A member failed in a way that another's death would explain; that death may be found until
  // `until`.
  struct Suspicion {
    TimePoint until;
    JobEnd end;
  };

  [[nodiscard]] const Worker* Find(const WorkerId& id) const;
  [[nodiscard]] int64_t RankOf(const WorkerId& id) const;  // -1: not a member
  Status Admit(const JoinRequest& request) const;
  void FormGenerationIfComplete();
  void Depart(Worker& worker, int exit_code, const std::string& reason, TimePoint now);
  void CompleteIfAllLeft();
  void Commit(std::vector<RoundReport> reports);
  void Lose(Worker& worker, ErrorCode code, const std::string& reason);
  void End(JobOutcome outcome, ErrorCode code, const std::string& reason);
  template <typename E>
  void Emit(E event) {
    events_.push_back({0, std::move(event)});
  }

  const CoordinatorOptions options_;
  Planner planner_;
  RoundLedger ledger_;
  KeyValueStore store_;
  std::map<Place, Worker> workers_;
  GenerationId generation_id_;   // counter 0: none formed yet
  std::vector<Member> members_;  // of the present generation, by rank
  std::string backend_;
  std::optional<std::string> stop_reason_;
  std::optional<Suspicion> suspicion_;
  std::optional<JobEnd> end_;
  std::vector<Event> events_;
  TimePoint started_;
  TimePoint last_tick_;
  TimePoint grace_until_;  // nobody is declared dead before
};

}  // namespace longstride
