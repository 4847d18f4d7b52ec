// The status of a TrainingJob as typed values, to and from the JSON that /status holds. What must
// outlive a controller is in here: each worker's incarnations, what was counted, and the deadlines
// that are running. docs/operator.md lists the fields for users.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/protocol/messages.h"

namespace longstride {

// The conditions of batch/v1, and this operator's own.
inline constexpr const char* kComplete = "Complete";
inline constexpr const char* kFailed = "Failed";
inline constexpr const char* kSuspended = "Suspended";
inline constexpr const char* kRunning = "Running";
inline constexpr const char* kRestarting = "Restarting";
inline constexpr const char* kProfiled = "Profiled";
inline constexpr const char* kCheckpointDurable = "CheckpointDurable";

struct JobCondition {
  std::string type;
  bool holds = false;
  std::string reason;
  std::string message;
  double since = 0;  // Unix seconds of the last change of `holds`
  friend bool operator==(const JobCondition&, const JobCondition&) = default;
};

// What is kept of one worker's pods.
struct WorkerRecord {
  int64_t incarnation = 0;  // highest that was ever seen; 0 = none
  int64_t ended = 0;        // highest whose end is accounted for
  int64_t failures = 0;     // ends that count towards the backoff limits
  int64_t ended_at = 0;     // Unix seconds of the last such end
  friend bool operator==(const WorkerRecord&, const WorkerRecord&) = default;
};

// The workers of one group; its profile is the mean over its members.
struct GroupStatus {
  std::string name;
  int64_t replicas = 0;
  int64_t ready = 0;
  std::vector<WorkerRecord> workers;  // by index
  double alpha = 0;                   // seconds a step, and a sample: t(b) = alpha + beta b
  double beta = 0;
  int64_t micro_batch_cap = 0;  // 0 = not profiled yet
  double share = 0;             // of the samples, all its workers together
  friend bool operator==(const GroupStatus&, const GroupStatus&) = default;
};

struct LastFailure {
  std::string worker;  // "worker-0"
  std::string pod;
  std::string node;
  std::string reason;
  int64_t exit_code = -1;  // -1 = none known
  std::string message;
  double time = 0;
  friend bool operator==(const LastFailure&, const LastFailure&) = default;
};

struct CheckpointRecord {
  int64_t round = 0;
  int64_t samples = 0;
  double time = 0;
  friend bool operator==(const CheckpointRecord&, const CheckpointRecord&) = default;
};

// What all workers together have done since the job was created, also those that are gone.
struct JobTotals {
  std::array<int64_t, kPurposeNames.size()> sent_bytes{};  // by purpose
  int64_t data_parallel_bytes = 0;                         // that data-parallel SGD would have sent
  ActivitySeconds seconds;
  friend bool operator==(const JobTotals&, const JobTotals&) = default;
};
// Of each figure the greater.
[[nodiscard]] JobTotals Greater(JobTotals a, const JobTotals& b);

// How far training is; the part that changes with every round.
struct TrainingProgress {
  int64_t round = 0;
  int64_t samples = 0;
  double epoch = 0;
  int64_t global_batch = 0;
  int64_t local_steps = 0;
  std::optional<double> loss;
  std::optional<double> accuracy;
  int64_t bytes_sent = 0;  // by all workers since the job was created
  double communication_percent = 0;
  JobTotals totals;
  friend bool operator==(const TrainingProgress&, const TrainingProgress&) = default;
};

struct JobStatus {
  int64_t observed_generation = 0;
  std::string state;  // one word for people: Pending, Starting, Running, ...
  std::vector<JobCondition> conditions;
  int64_t replicas = 0;
  int64_t ready_replicas = 0;
  std::string selector;
  TrainingProgress progress;
  std::optional<CheckpointRecord> last_checkpoint;
  int64_t discarded_samples = 0;
  int64_t restarts = 0;  // pods that took the place of another
  std::optional<LastFailure> last_failure;
  std::vector<GroupStatus> groups;
  std::string spec_hash;  // of what must not change while the job runs
  double start_time = 0;  // Unix seconds, as below; 0 = not
  double completion_time = 0;
  double waiting_since = 0;   // active, and not training
  double retry_time = 0;      // released its pods: not before
  double stop_requested = 0;  // told to stop for a suspend
  int64_t start_attempts = 0;

  friend bool operator==(const JobStatus&, const JobStatus&) = default;

  [[nodiscard]] const JobCondition* Find(const std::string& type) const;
  [[nodiscard]] bool Holds(const std::string& type) const;
  [[nodiscard]] bool finished() const { return Holds(kComplete) || Holds(kFailed); }
  // Sets the condition; `since` moves only when it begins or ceases to hold.
  void Set(const std::string& type, bool holds, std::string reason, std::string message,
           double now);
  [[nodiscard]] GroupStatus* Group(const std::string& name);
  [[nodiscard]] const GroupStatus* Group(const std::string& name) const;
};

// What is missing or of another type is as if it had never been written.
[[nodiscard]] JobStatus StatusFromJson(const nlohmann::json& json);
[[nodiscard]] nlohmann::json ToJson(const JobStatus& status);

// The same but for what changes with every round: a difference in it is worth a write at once.
[[nodiscard]] bool DiffersAtOnce(const JobStatus& a, const JobStatus& b);

// ParseTime in whole seconds; 0 for what is no time.
[[nodiscard]] double FromTime(const std::string& text);

}  // namespace longstride
