// What workers and the coordinator say to each other, as values. json.h turns them into JSON and
// back, refusing what is out of bounds. Paths and flow are described in docs/protocol.md.
//
// Numbers that decide (plans) travel as shortest round-trip decimals, so all workers read the same
// bits.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/schedule/position_ranges.h"

namespace longstride {

inline constexpr int kProtocolVersion = 3;

// Names a fixed set of members. `term` is the coordinator's leadership term; a larger pair is
// newer.
struct GenerationId {
  int64_t term = 0;
  int64_t counter = 0;
  friend auto operator<=>(const GenerationId&, const GenerationId&) = default;
};

// Who a worker is. The same (group, index) comes back with a new incarnation after a restart.
struct WorkerId {
  std::string group;
  int64_t index = 0;
  std::string incarnation;  // opaque, unique per process start
  friend auto operator<=>(const WorkerId&, const WorkerId&) = default;
};

// Step time fit t(b) = alpha * ceil(b / micro_batch_cap) + beta * b, in seconds; algorithms
// section 1.
struct WorkerProfile {
  double alpha = 0;
  double beta = 0;
  int64_t micro_batch_cap = 0;  // largest micro-batch that fits in memory, samples
  int64_t memory_limit_bytes = 0;
  int64_t memory_peak_bytes = 0;  // seen at micro_batch_cap
  std::string device = "cpu";     // "cpu" or "cuda"
  std::string device_name;        // "AMD EPYC ...", "NVIDIA H100 ..."
  std::string device_version;     // of the collective library, for the choice of backend; "" on CPU
  std::string device_id;          // unlike that of any other device of the job; "" on CPU
  int64_t threads = 1;
  double cpu_quota = 0;  // CPU seconds per second that it may use; 0 = no quota
  std::vector<std::pair<int64_t, double>> points;  // measured (batch, seconds)
};

struct JoinRequest {
  int protocol = kProtocolVersion;
  WorkerId worker;
  std::string address;  // IP that peers can reach
  int64_t metrics_port = 0;
  int64_t tether_port = 0;  // of address, where peers ping it; 0 = none
  WorkerProfile profile;
  GenerationId generation;    // last one it was a member of; {0,0} for a newcomer
  int64_t round = 0;          // rounds committed in the state it holds
  int64_t parameters = 0;     // number of model parameters, for the bill
  int64_t train_samples = 0;  // in the training set; an epoch
};

// One member's part of a plan.
struct PlanShare {
  double alpha = 0;
  double beta = 0;
  int64_t micro_batch_cap = 1;
  int64_t min_batch = 1;
  int64_t max_batch = 1;
};

// What the workers compute the schedule from, in lockstep. Workers use the plan with the largest
// `first_round` <= the round that they begin, among those that every member has.
struct Plan {
  int64_t version = 0;  // 1, 2, ... within a run, across generations and resumes
  int64_t first_round = 0;
  std::vector<PlanShare> shares;  // by rank
  double sync_seconds = 0;        // predicted time of one synchronization; 0 = not known yet
};

struct Member {
  WorkerId worker;
  std::string address;
  int64_t tether_port = 0;
};

// A formed generation, as its member `rank` sees it.
struct Generation {
  GenerationId id;
  int64_t rank = 0;
  std::vector<Member> members;   // sorted by (group, index); position = rank
  std::string backend = "gloo";  // "gloo" or "nccl"
  std::vector<Plan> plans;       // by first_round; the recorded history first when a run is resumed
};

// Seconds of one round spent by one worker, by activity. They sum to the round's wall time.
struct ActivitySeconds {
  double data = 0;           // waiting for batches
  double compute = 0;        // forward, backward, inner optimizer
  double communication = 0;  // collective calls, waiting for peers included
  double outer = 0;          // averaging arithmetic, outer optimizer, decisions
  double evaluation = 0;
  double checkpoint = 0;
  friend bool operator==(const ActivitySeconds&, const ActivitySeconds&) = default;
};

// The label `activity` of the metrics, and what it names.
inline constexpr std::pair<const char*, double ActivitySeconds::*> kActivities[] = {
    {"data", &ActivitySeconds::data},
    {"compute", &ActivitySeconds::compute},
    {"communication", &ActivitySeconds::communication},
    {"outer", &ActivitySeconds::outer},
    {"evaluation", &ActivitySeconds::evaluation},
    {"checkpoint", &ActivitySeconds::checkpoint},
};

// What bytes were sent for, in the order of RoundReport::bytes_sent; the label `purpose` of the
// traffic metrics.
inline constexpr std::array<const char*, 6> kPurposeNames = {"model", "statistics", "buffers",
                                                             "state", "evaluation", "control"};

// A shard's cursor before and after a round, from 0.
struct ShardAdvance {
  int64_t shard = 0;
  int64_t cursor_begin = 0;
  int64_t cursor_end = 0;
  friend bool operator==(const ShardAdvance&, const ShardAdvance&) = default;
};

// A checkpoint that is complete: every rank's files are written, and its folder has its final name.
struct CommittedCheckpoint {
  int64_t round = 0;    // after which it was written
  int64_t samples = 0;  // committed in the whole job by then
  double time = 0;      // Unix seconds when it was complete, by the clock of the worker
};

// What a member reports when a round is committed. Fields of the first part are equal on all
// members.
struct RoundReport {
  GenerationId generation;
  int64_t round = 0;  // 1 for the first
  int64_t plan_version = 0;
  // The round took holes below it, then [cursor_begin, cursor_end). With local data: of all shards
  // together; `shards` has those of each that was ever read.
  int64_t cursor_begin = 0;
  int64_t cursor_end = 0;
  std::vector<ShardAdvance> shards;  // ascending; empty for shared data
  // What became of the positions that it took (algorithms section 9): they counted; their worker's
  // update was not finite; their worker was lost, and a later round reads them.
  std::vector<PositionRange> committed;
  std::vector<PositionRange> discarded;
  std::vector<PositionRange> lost;
  std::vector<PositionRange> holes;  // all that are open after the round
  int64_t samples = 0;               // committed
  // In the whole job up to this round. Absent: the worker is of a release that did not say.
  std::optional<int64_t> total_samples;
  int64_t local_steps = 0;   // H
  int64_t global_batch = 0;  // B of this round
  int64_t next_global_batch = 0;
  double learning_rate = 0;   // of the round's last step
  double loss = 0;            // mean over the round's samples
  double noise_variance = 0;  // sigma^2 per sample
  double gradient_norm_squared = 0;
  double norm_test_ratio = 0;  // (sigma^2/B) / (eta^2 |g|^2); > 1 fails the test
  double noise_scale = 0;      // sigma^2 / |grad F|^2, samples
  double skew = 0;             // between-worker part of the variance, per sample
  int64_t skew_limit = 0;      // largest H that it allows the next round; 0 = any
  bool statistics_finite = true;
  std::string digest;                     // of w after the round, 16 hex digits
  std::optional<double> evaluation_loss;  // when evaluated at this boundary
  std::optional<double> evaluation_accuracy;
  bool target_reached = false;
  bool checkpointed = false;  // a checkpoint of this boundary was asked for

  // Of the reporting member alone.
  int64_t rank = 0;
  int64_t local_batch = 0;  // b_m
  // Largest micro-batch that it takes from here on: the plan's, or less where memory ran out.
  // Absent if it took no local steps.
  std::optional<int64_t> micro_batch_cap;
  int64_t local_samples = 0;   // n_m
  bool delta_finite = true;    // false: it contributed nothing and local_samples were discarded
  double first_step_time = 0;  // Unix seconds when its local steps began, and when they had ended
  double last_step_time = 0;
  ActivitySeconds seconds;
  double wall_seconds = 0;
  std::vector<std::pair<int64_t, double>>
      step_times;                   // (batch, mean seconds of a step) of this round
  std::vector<int64_t> bytes_sent;  // by purpose (kPurposeNames), this round
  std::vector<int64_t> bytes_received;
  int64_t memory_bytes = 0;  // resident
  // The newest that it has committed, if there is one of which it has not told before.
  std::optional<CommittedCheckpoint> checkpoint;
};

struct RoundReply {
  std::vector<Plan> plans;  // newer than the reported version
  bool stop = false;        // stop at the next round boundary, with a checkpoint
  std::string stop_reason;
  bool reform = false;  // members change: leave the generation at the next round boundary
  // Rounds up to this one are committed: their reports are not asked for again.
  int64_t committed = 0;
};

struct HeartbeatRequest {
  WorkerId worker;
  GenerationId generation;
  int64_t round = 0;
  bool broken = false;               // its collective of this generation has failed
  std::vector<int64_t> silent = {};  // ranks that do not answer its pings
};

struct ReportRequest {
  WorkerId worker;
  RoundReport report;
};

// How a worker stands with its job.
//   kWaiting   joined; the next generation is not formed yet
//   kTraining  member of the present generation
//   kReform    its generation is over; it joins the next one
//   kFenced    another incarnation has its place, or it never joined; it exits
//   kEnded     the job is over; it exits
//   kUnknown   the coordinator was started anew and knows nothing of it: it registers again, and
//              trains on
enum class MemberState { kWaiting, kTraining, kReform, kFenced, kEnded, kUnknown };

struct HeartbeatReply {
  MemberState state = MemberState::kWaiting;
  bool stop = false;
  std::string stop_reason;
  bool reform = false;  // as in RoundReply
  std::string reason;   // for kReform, kFenced, kEnded: what happened, for the log
};

// What a worker process has done since it joined.
struct WorkerTotals {
  int64_t rounds = 0;   // reported
  int64_t samples = 0;  // of its own, that count
  // Positions that its rounds discarded, on all members together.
  int64_t discarded = 0;
  ActivitySeconds seconds;
  double wall_seconds = 0;
  std::vector<int64_t> bytes_sent;  // by purpose
  std::vector<int64_t> bytes_received;
};

// A worker that is in the middle of a job makes itself known to a coordinator that was started
// anew: all that the coordinator must know to go on where the one before was lost.
struct RegisterRequest {
  JoinRequest join;  // as it joined
  // The last generation that it was a member of, with every plan that it has; absent if none.
  std::optional<Generation> generation;
  bool left = false;     // it has left that generation
  bool leaving = false;  // it ends: a next one is not for it
  int64_t round = 0;     // committed in the state that it holds
  int64_t settled = 0;   // up to here it has no report to give: committed, as far as it knows
  WorkerTotals totals;
  std::vector<RoundReport> reports;  // of that generation, of rounds after `settled`, in order
  // The newest that it has told of in a report, to this coordinator or another.
  std::optional<CommittedCheckpoint> checkpoint = {};
};

struct LeaveRequest {
  WorkerId worker;
  GenerationId generation;
  int64_t round = 0;
  int exit_code = 0;
  std::string reason;      // "completed", "stopped", or the error message
  bool mid_round = false;  // it does not finish its round: the others cannot, either, with it
  std::optional<CommittedCheckpoint> checkpoint = {};  // as of RoundReport
};

// Long poll: answered once a generation newer than `after` holds the worker, the job is over, or
// `wait_seconds` have passed (kWaiting: ask again). To ask with the present generation as `after`
// says that the worker has left it, with `round` rounds committed in the state that it holds, all
// of them reported.
struct GenerationRequest {
  WorkerId worker;
  GenerationId after;
  int64_t round = 0;
  std::string reason;  // why it has left, for the log
  double wait_seconds = 0;
};

struct GenerationReply {
  MemberState state = MemberState::kWaiting;
  std::optional<Generation> generation;  // present iff kTraining
  bool failed = false;  // of kEnded: the job failed, rather than having done its work
  std::string reason;   // of kReform, kFenced, kEnded
};

struct StoreSetRequest {
  GenerationId generation;
  std::string key;
  std::vector<uint8_t> value;  // base64 in JSON
};

// Long poll: answered once the generation's store holds `count` keys, or `wait_seconds` have
// passed.
struct StoreReadRequest {
  GenerationId generation;
  int64_t count = 0;
  double wait_seconds = 0;
};

struct StoreReply {
  std::vector<std::pair<std::string, std::vector<uint8_t>>> entries;  // every key, sorted
};

// Body of every answer that is not 200.
struct ErrorReply {
  ErrorCode code = ErrorCode::kBug;
  std::string message;
  std::optional<int64_t> term = {};  // of 421: the newest leadership term that the server knows of
};

}  // namespace longstride
