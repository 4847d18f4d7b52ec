// The coordinator of one job: who takes part, in which generation, under which plan, and what they
// have committed. A state machine without sockets, threads or clock: the host passes requests and
// the time in, and takes replies and events out. Not thread-safe.
//
// Long polls: a method that cannot answer yet returns nullopt. The host parks the request and asks
// again after any later call, until the poll's own time limit.
//
// Members change without the job ending. A worker that is lost breaks its generation: the others
// hear it from their heartbeats, or notice themselves, give up their collective and ask for the
// next generation, which is formed as soon as none of them is missing. A worker that joins, or is
// to leave, waits for the next round boundary, at which all members leave their generation in good
// order. Below the sum of the groups' minReplicas the job waits.
//
// What it knows is soft. One that takes over a job starts with next to nothing; workers that it
// does not know are told so, register with what they know, and train on meanwhile. The generation
// that they are in is adopted, not broken.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "controller/coordinator/events.h"
#include "controller/coordinator/key_value_store.h"
#include "controller/coordinator/planner.h"
#include "controller/coordinator/round_ledger.h"
#include "controller/coordinator/straggler_watch.h"
#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "core/spec/places.h"
#include "core/spec/training_job.h"

namespace longstride {

enum class CoordinatorMode {
  kTrain,
  kPlanOnly,  // ends with kPlanned once all have joined and the plan is made
};

// What is on record of a job that another coordinator has begun. All of it may be out of date.
struct Takeover {
  // The last committed round on record, and the generation that committed it: not committed again.
  int64_t round = 0;
  GenerationId generation{};
  int64_t samples = 0;
  int64_t discarded = 0;
  int64_t checkpoint = 0;  // round of the newest one; 0 = none
  int64_t lost_workers = 0;
  Duration active{};  // time that counts towards activeDeadlineSeconds
};

struct CoordinatorOptions {
  TrainingJob job;
  // Greater than that of every coordinator that the job had before; names its generations.
  int64_t term = 1;
  // Set when the job may have workers that another coordinator knew.
  std::optional<Takeover> takeover;
  // How long after the first worker is there training waits for the others, if the groups'
  // minReplicas are; absent: until all are there.
  std::optional<Duration> start_wait;
  CoordinatorMode mode = CoordinatorMode::kTrain;
  // When a run is resumed or replayed: its plans as they took effect (PlanHistory) and its last
  // round.
  std::vector<Plan> recorded_plans;
  int64_t recorded_rounds = 0;
  Duration heartbeat_limit =
      std::chrono::milliseconds(2500);  // silence after which a worker is dead
  // On top of the limit after this coordinator starts or was itself held up, until which nobody is
  // declared dead: clients back off.
  Duration reconnect_grace = std::chrono::seconds(2);
};

class Coordinator {
 public:
  Coordinator(CoordinatorOptions options, TimePoint now);

  // A worker takes its place; a newer incarnation takes over from the one before, which is lost.
  // From here on it must send heartbeats. Errors: kUser (protocol version, unknown group, index out
  // of range, no place left), kLostPeer when it was declared lost, kInterrupted or the failure's
  // code when the job has ended.
  Status Join(const JoinRequest& request, TimePoint now);

  // A worker that another coordinator knew makes itself known. Its generation is adopted if it is
  // the newest known of, its reports are taken, and who of its members does not register within the
  // limits of silence is lost. Once registered, nothing is changed by doing it again. Errors as
  // Join, and kLostPeer when its generation is over and went on without it, kTransient when the
  // generation is of a later coordinator.
  Status Register(const RegisterRequest& request, TimePoint now);

  // The worker's generation, if one newer than `after` is formed; or that the job is over for it.
  // A member that asks with the present generation as `after` has left it.
  [[nodiscard]] std::optional<GenerationReply> PollGeneration(const GenerationRequest& request,
                                                              TimePoint now);

  HeartbeatReply Heartbeat(const HeartbeatRequest& request, TimePoint now);

  // Takes a report. Errors: kLostPeer when fenced (older generation or incarnation), kUser for a
  // wrong rank, kTransient when the worker must register first or too many rounds are incomplete.
  Status Report(const ReportRequest& request, TimePoint now);
  // The answer to a report, once its round is committed or the job is over: so that a plan that the
  // round brings about reaches every member at the round's end. With `now_or_never`, at once.
  [[nodiscard]] std::optional<RoundReply> ReplyTo(const RoundReport& report,
                                                  bool now_or_never) const;

  // Exit codes 0 and 7 (interrupted) are a good end; in the middle of a round it breaks the
  // generation nevertheless. A worker with 1, 2, 3 or 4 (bug, user, data, resource) would fail
  // again and ends the job; with any other it is lost. A member that has
  // finished the job gets kTransient, to ask again, until its last round is committed: at once when
  // the others have reported it too, else after two seconds.
  Status Leave(const LeaveRequest& request, TimePoint now);

  // The launcher saw the worker's process end. `detail`: "exited with code 3", "was killed by
  // signal 9". `had_joined`: it ended after it had joined. `out_of_memory`: the kernel killed it
  // for want of memory (a memory control group's count, OOMKilled). Then its next incarnation takes
  // micro-batches of at most half the size, and when one sample was too much, the job ends with
  // kResource.
  void WorkerExited(const std::string& group, int64_t index, int exit_code,
                    const std::string& detail, bool had_joined, TimePoint now,
                    bool out_of_memory = false);

  // kLostPeer when the generation is not the present one; kResource when full.
  Status StoreSet(const StoreSetRequest& request);
  // Every key, once there are `count`; with `now_or_never`, whatever there is. kLostPeer as for
  // StoreSet.
  [[nodiscard]] Result<std::optional<StoreReply>> StoreRead(const StoreReadRequest& request,
                                                            bool now_or_never) const;

  // Workers wanted from now on. Those with the last places leave; missing ones are the host's to
  // start. kUser when the groups' bounds do not allow it.
  Status Scale(int64_t replicas);

  // Members stop at the next round boundary, with a checkpoint. The first reason stays.
  void RequestStop(const std::string& reason);

  // Lets time act: silent workers, deadlines. Call it about ten times a second.
  void Tick(TimePoint now);

  // What has happened since the last call, in order.
  [[nodiscard]] std::vector<Event> DrainEvents() { return std::exchange(events_, {}); }

  // Grows whenever something has happened that a long poll may have waited for.
  [[nodiscard]] int64_t revision() const { return revision_; }
  [[nodiscard]] const std::optional<JobEnd>& end() const { return end_; }
  // No worker is left that might still ask: the host may close.
  [[nodiscard]] bool quiet() const;
  [[nodiscard]] const RoundLedger& ledger() const { return ledger_; }
  [[nodiscard]] const std::vector<Plan>& plans() const { return planner_.plans(); }
  [[nodiscard]] const TrainingJob& job() const { return options_.job; }
  // Largest micro-batch that memory was found to hold at this place, for whoever is started there
  // next; absent while none was refused. Holds as long as this coordinator.
  [[nodiscard]] std::optional<int64_t> MicroBatchLimit(const WorkerPlace& place) const;
  // A member has finished the job: nobody is started any more.
  [[nodiscard]] bool completing() const { return completed_; }
  // False after a takeover until every worker that lives has had the time to register.
  [[nodiscard]] bool settled() const { return settled_; }
  // The places that should have a worker now, sorted as ranks are.
  [[nodiscard]] std::vector<WorkerPlace> wanted() const;

 private:
  //   kJoined    ready to become a member
  //   kMember    trains in the present generation
  //   kDetached  was a member, and has asked for the next generation
  enum class Phase { kJoined, kMember, kDetached, kLeft, kLost };
  struct Worker {
    JoinRequest join;
    Phase phase = Phase::kJoined;
    TimePoint last_seen;
    int64_t round = 0;            // of kDetached: committed in the state it holds
    std::vector<int64_t> silent;  // of kMember: ranks that do not answer its pings
    bool released = false;        // scaled down: it leaves at the next boundary
    bool leaving = false;         // it ends, and goes into no generation any more
    GenerationId generation;      // the last one that it was a member of
    int64_t rank = -1;            // there
    bool known = true;            // false: other members name it, and it has not registered
    [[nodiscard]] bool present() const { return phase <= Phase::kDetached; }
  };
  using Workers = std::map<WorkerPlace, Worker>;
  // What the incarnations of one place have shown about its memory, samples.
  struct MemoryFindings {
    std::optional<int64_t> limit;  // of the micro-batch
    int64_t micro_batch = 0;       // the last one known to have been taken; 0 = none
  };

  // Null: unknown, left or lost.
  [[nodiscard]] Worker* Find(const WorkerId& id);
  // Nothing is known of a worker that Find does not find, nor against it: it should register.
  [[nodiscard]] bool IsUnknown(const WorkerId& id) const;
  [[nodiscard]] Error NotFound(const WorkerId& id) const;
  [[nodiscard]] int64_t RankOf(const WorkerId& id) const;  // -1: not a member
  [[nodiscard]] int64_t CountPresent() const;
  [[nodiscard]] bool Any(Phase phase) const;
  [[nodiscard]] bool HoldsState(const Worker& worker) const;
  [[nodiscard]] bool MayGo(const Worker& worker) const;
  [[nodiscard]] bool IsWanted(const WorkerPlace& place) const;
  [[nodiscard]] bool StoreIsOpen(const GenerationId& id) const;
  Status CheckKind(const JoinRequest& request) const;
  Status CheckPlace(const WorkerPlace& place) const;
  [[nodiscard]] Error Ended() const;
  Status Finish(const LeaveRequest& request, TimePoint now);
  Status Seat(const JoinRequest& request, TimePoint now, bool leaving);
  void Adopt(const Generation& generation, TimePoint now);
  Status Readmit(const RegisterRequest& request, TimePoint now);
  void Learn(const RegisterRequest& request);
  void TakeReports(const RegisterRequest& request);
  void SettleIn();
  void Detach(Worker& worker, const GenerationRequest& request, TimePoint now);
  void AskMembersToReform(const std::string& reason);
  // Members that do not hear each other for a while: the fewest go (eviction.h).
  void EvictUnheard(TimePoint now);
  void BreakGeneration(const std::string& reason);
  void FormGeneration();
  void Form(const std::vector<Worker*>& members);
  // `stopped`: why the last worker left, if it was told to.
  void EndIfAllLeft(const std::string& stopped = "");
  bool CommitAll(Result<RoundLedger::Rounds> rounds);
  void Commit(std::vector<RoundReport> reports);
  // Tells of it if it is newer than all that were told of.
  void NoteCheckpoint(const std::optional<CommittedCheckpoint>& told);
  void NoteMicroBatch(const WorkerPlace& place, const RoundReport& report);
  // After a kill for want of memory; false if there is nothing to halve any more.
  bool HalveMicroBatch(const WorkerPlace& place);
  void Lose(Worker& worker, ErrorCode code, const std::string& reason);
  void CountLost(ErrorCode code, const std::string& what);
  void Depart(Worker& worker, int exit_code, const std::string& reason, bool mid_round = false);
  void End(JobOutcome outcome, ErrorCode code, const std::string& reason);
  template <typename E>
  void Emit(E event) {
    events_.push_back({0, std::move(event)});
    ++revision_;
  }

  const CoordinatorOptions options_;
  int64_t replicas_;  // wanted
  Planner planner_;
  RoundLedger ledger_;
  KeyValueStore store_;
  StragglerWatch stragglers_;
  std::vector<WorkerId> shed_;  // stragglers to be given up
  Workers workers_;
  std::map<WorkerPlace, MemoryFindings> memory_;
  std::set<WorkerId> fenced_;    // lost or left, and may not come back
  GenerationId generation_id_;   // counter 0: none formed or adopted yet
  std::vector<Member> members_;  // of the present generation, by rank
  std::string backend_;
  bool reform_ = false;  // members are to leave at the next boundary
  TimePoint broken_since_;
  bool broken_ = false;      // the present generation is over; members that have not asked must
  std::string over_reason_;  // of either
  std::optional<TimePoint> cut_since_;  // some members do not hear each other
  TimePoint detached_since_;            // the first member asked; valid while one is detached
  // Nobody is left who holds the state: until when those that come back wait for the others.
  std::optional<TimePoint> restart_deadline_;
  bool waiting_ = false;                      // told of too few workers
  int64_t lost_ = 0;                          // workers, so far
  int64_t checkpoint_ = 0;                    // round of the newest committed one; 0 = none
  bool completed_ = false;                    // a member has finished the job
  int64_t completed_round_ = 0;               // and had committed so many rounds
  std::optional<TimePoint> finishing_since_;  // a member has asked to leave with the job finished
  double round_seconds_ = 0;                  // of the last committed round
  std::optional<std::string> stop_reason_;
  std::optional<JobEnd> end_;
  std::vector<Event> events_;
  int64_t revision_ = 0;
  TimePoint started_;
  TimePoint last_tick_;
  TimePoint grace_until_;  // nobody is declared dead before
  // After a takeover: every worker that lives has had the time to register. Nothing is committed,
  // formed or ended before, lest one that was given up long ago decides by coming first.
  bool settled_;
  const TimePoint settle_until_;
};

}  // namespace longstride
