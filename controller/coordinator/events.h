// What a coordinator tells its host, in order: for events.jsonl, the status, the progress bar and
// metrics.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "controller/coordinator/planner.h"
#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "core/protocol/round_record.h"

namespace longstride {

enum class JobOutcome { kCompleted, kStopped, kPlanned, kFailed };

struct JobEnd {
  JobOutcome outcome = JobOutcome::kCompleted;
  ErrorCode code = ErrorCode::kBug;  // of kFailed; the exit code of the run follows from it
  std::string reason;                // a sentence for people
};

struct JoinedEvent {
  JoinRequest join;
};
// A worker has made itself known to a coordinator that took the job over.
struct RegisteredEvent {
  JoinRequest join;
  GenerationId generation;  // its last
  int64_t round = 0;
  WorkerTotals totals;
};
struct GenerationFormedEvent {
  GenerationId id;
  std::vector<Member> members;  // by rank
  std::string backend;
};
struct PlanIssuedEvent {
  Plan plan;
  std::optional<PlanPrediction> prediction;  // absent for plans of a recorded history
  std::string cause;
};
struct RoundCommittedEvent {
  RoundRecord record;
};
struct EvaluationEvent {
  int64_t round = 0;
  int64_t cursor = 0;
  std::optional<double> loss;
  std::optional<double> accuracy;
  bool target_reached = false;
};
// There is a newer complete checkpoint.
struct CheckpointEvent {
  CommittedCheckpoint checkpoint;
};
struct WorkerLeftEvent {
  WorkerId worker;
  int exit_code = 0;
  std::string reason;
};
struct WorkerLostEvent {
  WorkerId worker;
  std::string reason;
  ErrorCode code = ErrorCode::kLostPeer;  // what it said of itself, if it did
};
// The members' generation is over, and they form the next one.
struct GenerationOverEvent {
  GenerationId id;
  std::string reason;
};
// Too few workers are left to form the next generation; the job waits for more.
struct WaitingEvent {
  int64_t present = 0;
  int64_t min = 0;
};
struct ScaledEvent {
  int64_t replicas = 0;
};
struct StopRequestedEvent {
  std::string reason;
};
struct EndedEvent {
  JobEnd end;
};

struct Event {
  double unix_seconds = 0;  // filled in by the host, which has the clock
  std::variant<JoinedEvent, RegisteredEvent, GenerationFormedEvent, PlanIssuedEvent,
               RoundCommittedEvent, EvaluationEvent, CheckpointEvent, WorkerLeftEvent,
               WorkerLostEvent, GenerationOverEvent, WaitingEvent, ScaledEvent, StopRequestedEvent,
               EndedEvent>
      data;
};

// "completed", "stopped", "planned", "failed".
[[nodiscard]] const char* JobOutcomeName(JobOutcome outcome);

// One line of events.jsonl, without the newline: {"time", "event", ...}; docs/protocol.md has the
// schema. A committed round appears there by number only, as rounds.jsonl holds it in full.
[[nodiscard]] std::string ToJsonLine(const Event& event);

}  // namespace longstride
