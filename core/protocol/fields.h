// Every member of every message, once: its name in JSON, its bounds. `M` is the message, const for
// a writer. Included by the two files that read and write messages; internal to core/protocol.
#pragma once

#include <concepts>
#include <type_traits>

#include "core/protocol/json.h"
#include "core/protocol/json_codec.h"
#include "core/protocol/messages.h"
#include "core/protocol/round_record.h"

namespace longstride {

inline constexpr int64_t kMaxCount = int64_t{1} << 53;  // what every JSON reader keeps exactly
inline constexpr double kMaxSeconds = 1e9;
inline constexpr size_t kMaxNameBytes = 253;
inline constexpr size_t kMaxTextBytes = 8192;
inline constexpr size_t kMaxPoints = 1024;
inline constexpr size_t kMaxRanges = 65536;
inline constexpr size_t kMaxPlans = 65536;
inline constexpr const char* kMemberStateNames[] = {"waiting", "training", "reform",
                                                    "fenced",  "ended",    "unknown"};
inline constexpr const char* kErrorCodeNames[] = {
    "user", "data", "resource", "lostPeer", "transient", "interrupted", "bug"};

template <typename T, typename M>
concept Message = std::same_as<std::remove_const_t<T>, M>;

void Fields(auto& v, Message<GenerationId> auto& m) {
  v.Integer("term", m.term, 0, kMaxCount);
  v.Integer("counter", m.counter, 0, kMaxCount);
}

void Fields(auto& v, Message<WorkerId> auto& m) {
  v.String("group", m.group, kMaxNameBytes);
  v.Integer("index", m.index, 0, kMaxCount);
  v.String("incarnation", m.incarnation, kMaxNameBytes);
}

void Fields(auto& v, Message<WorkerProfile> auto& m) {
  v.Number("alpha", m.alpha, 0, kMaxSeconds);
  v.Number("beta", m.beta, 0, kMaxSeconds);
  v.Integer("microBatchCap", m.micro_batch_cap, 1, kMaxCount);
  v.Integer("memoryLimitBytes", m.memory_limit_bytes, 0, kMaxCount);
  v.Integer("memoryPeakBytes", m.memory_peak_bytes, 0, kMaxCount);
  v.String("device", m.device, 16);
  v.String("deviceName", m.device_name, kMaxNameBytes);
  v.String("deviceVersion", m.device_version, kMaxNameBytes);
  v.String("deviceId", m.device_id, kMaxNameBytes);
  v.Integer("threads", m.threads, 1, 1 << 20);
  if (v.Has("cpuQuota")) v.Number("cpuQuota", m.cpu_quota, 0, 1 << 20);
  v.Points("points", m.points, kMaxPoints);
}

void Fields(auto& v, Message<JoinRequest> auto& m) {
  v.Integer("protocol", m.protocol, 0, 1 << 20);
  v.Object("worker", m.worker);
  v.String("address", m.address, kMaxNameBytes);
  v.Integer("metricsPort", m.metrics_port, 0, 65535);
  if (v.Has("tetherPort")) v.Integer("tetherPort", m.tether_port, 0, 65535);
  v.Object("profile", m.profile);
  v.Object("generation", m.generation);
  v.Integer("round", m.round, 0, kMaxCount);
  v.Integer("parameters", m.parameters, 0, kMaxCount);
  v.Integer("trainSamples", m.train_samples, 0, kMaxCount);
}

void Fields(auto& v, Message<PlanShare> auto& m) {
  v.Number("alpha", m.alpha, 0, kMaxSeconds);
  v.Number("beta", m.beta, 0, kMaxSeconds);
  v.Integer("microBatchCap", m.micro_batch_cap, 1, kMaxCount);
  v.Integer("minBatch", m.min_batch, 0, kMaxCount);
  v.Integer("maxBatch", m.max_batch, 1, kMaxCount);
}

void Fields(auto& v, Message<Plan> auto& m) {
  v.Integer("version", m.version, 1, kMaxCount);
  v.Integer("firstRound", m.first_round, 0, kMaxCount);
  v.List("shares", m.shares, kMaxMembers);
  v.Number("syncSeconds", m.sync_seconds, 0, kMaxSeconds);
}

void Fields(auto& v, Message<Member> auto& m) {
  v.Object("worker", m.worker);
  v.String("address", m.address, kMaxNameBytes);
  if (v.Has("tetherPort")) v.Integer("tetherPort", m.tether_port, 0, 65535);
}

void Fields(auto& v, Message<Generation> auto& m) {
  v.Object("id", m.id);
  v.Integer("rank", m.rank, 0, kMaxMembers - 1);
  v.List("members", m.members, kMaxMembers);
  v.String("backend", m.backend, 16);
  v.List("plans", m.plans, kMaxPlans);
}

void Fields(auto& v, Message<ActivitySeconds> auto& m) {
  v.Number("data", m.data, 0, kMaxSeconds);
  v.Number("compute", m.compute, 0, kMaxSeconds);
  v.Number("communication", m.communication, 0, kMaxSeconds);
  v.Number("outer", m.outer, 0, kMaxSeconds);
  v.Number("evaluation", m.evaluation, 0, kMaxSeconds);
  v.Number("checkpoint", m.checkpoint, 0, kMaxSeconds);
}

void Fields(auto& v, Message<ShardAdvance> auto& m) {
  v.Integer("shard", m.shard, 0, kMaxShards - 1);
  v.Integer("cursorBegin", m.cursor_begin, 0, kShardSpan);
  v.Integer("cursorEnd", m.cursor_end, 0, kShardSpan);
}

void Fields(auto& v, Message<CommittedCheckpoint> auto& m) {
  v.Integer("round", m.round, 0, kMaxCount);
  v.Integer("samples", m.samples, 0, kMaxCount);
  v.Number("time", m.time, 0, 1e12);
}

// The part of a report that is equal on all members, and the part that is the member's own. A round
// record holds the first once and the second by rank.
void CommonFields(auto& v, Message<RoundReport> auto& m) {
  v.Object("generation", m.generation);
  v.Integer("round", m.round, 1, kMaxCount);
  v.Integer("planVersion", m.plan_version, 0, kMaxCount);
  v.Integer("cursorBegin", m.cursor_begin, 0, kMaxCount);
  v.Integer("cursorEnd", m.cursor_end, 0, kMaxCount);
  v.List("shards", m.shards, kMaxShards);
  v.Ranges("committed", m.committed, kMaxCount, kMaxRanges);
  v.Ranges("discarded", m.discarded, kMaxCount, kMaxRanges);
  v.Ranges("lost", m.lost, kMaxCount, kMaxRanges);
  v.Ranges("holes", m.holes, kMaxCount, kMaxRanges);
  v.Integer("samples", m.samples, 0, kMaxCount);
  v.Integer("totalSamples", m.total_samples, 0, kMaxCount);
  v.Integer("localSteps", m.local_steps, 0, kMaxCount);
  v.Integer("globalBatch", m.global_batch, 0, kMaxCount);
  v.Integer("nextGlobalBatch", m.next_global_batch, 0, kMaxCount);
  v.Measured("learningRate", m.learning_rate);
  v.Measured("loss", m.loss);
  v.Measured("noiseVariance", m.noise_variance);
  v.Measured("gradientNormSquared", m.gradient_norm_squared);
  v.Measured("normTestRatio", m.norm_test_ratio);
  v.Measured("noiseScale", m.noise_scale);
  v.Measured("skew", m.skew);
  v.Integer("skewLimit", m.skew_limit, 0, kMaxCount);
  v.Flag("statisticsFinite", m.statistics_finite);
  v.String("digest", m.digest, 64);
  v.Measured("evaluationLoss", m.evaluation_loss);
  v.Measured("evaluationAccuracy", m.evaluation_accuracy);
  v.Flag("targetReached", m.target_reached);
  v.Flag("checkpointed", m.checkpointed);
}

void OwnFields(auto& v, Message<RoundReport> auto& m) {
  v.Integer("rank", m.rank, 0, kMaxMembers - 1);
  v.Integer("localBatch", m.local_batch, 0, kMaxCount);
  v.Integer("microBatchCap", m.micro_batch_cap, 1, kMaxCount);
  v.Integer("localSamples", m.local_samples, 0, kMaxCount);
  v.Flag("deltaFinite", m.delta_finite);
  v.Number("firstStepTime", m.first_step_time, 0, 1e12);
  v.Number("lastStepTime", m.last_step_time, 0, 1e12);
  v.Object("seconds", m.seconds);
  v.Number("wallSeconds", m.wall_seconds, 0, kMaxSeconds);
  v.Points("stepTimes", m.step_times, kMaxPoints);
  v.Integers("bytesSent", m.bytes_sent, 0, kMaxCount, 16);
  v.Integers("bytesReceived", m.bytes_received, 0, kMaxCount, 16);
  v.Integer("memoryBytes", m.memory_bytes, 0, kMaxCount);
  v.Object("checkpoint", m.checkpoint);
}

void Fields(auto& v, Message<RoundReport> auto& m) {
  CommonFields(v, m);
  OwnFields(v, m);
}

void Fields(auto& v, Message<ReportRequest> auto& m) {
  v.Object("worker", m.worker);
  v.Object("report", m.report);
}

void Fields(auto& v, Message<RoundReply> auto& m) {
  v.List("plans", m.plans, kMaxPlans);
  v.Flag("stop", m.stop);
  v.Text("stopReason", m.stop_reason, kMaxTextBytes);
  v.Flag("reform", m.reform);
  v.Integer("committed", m.committed, 0, kMaxCount);
}

void Fields(auto& v, Message<HeartbeatRequest> auto& m) {
  v.Object("worker", m.worker);
  v.Object("generation", m.generation);
  v.Integer("round", m.round, 0, kMaxCount);
  v.Flag("broken", m.broken);
  if (v.Has("silent")) v.Integers("silent", m.silent, 0, kMaxMembers - 1, kMaxMembers);
}

void Fields(auto& v, Message<HeartbeatReply> auto& m) {
  v.Choice("state", m.state, kMemberStateNames);
  v.Flag("stop", m.stop);
  v.Text("stopReason", m.stop_reason, kMaxTextBytes);
  v.Flag("reform", m.reform);
  v.Text("reason", m.reason, kMaxTextBytes);
}

void Fields(auto& v, Message<WorkerTotals> auto& m) {
  v.Integer("rounds", m.rounds, 0, kMaxCount);
  v.Integer("samples", m.samples, 0, kMaxCount);
  v.Integer("discarded", m.discarded, 0, kMaxCount);
  v.Object("seconds", m.seconds);
  v.Number("wallSeconds", m.wall_seconds, 0, kMaxSeconds);
  v.Integers("bytesSent", m.bytes_sent, 0, kMaxCount, 16);
  v.Integers("bytesReceived", m.bytes_received, 0, kMaxCount, 16);
}

void Fields(auto& v, Message<RegisterRequest> auto& m) {
  v.Object("join", m.join);
  v.Object("generation", m.generation);
  v.Flag("left", m.left);
  v.Flag("leaving", m.leaving);
  v.Integer("round", m.round, 0, kMaxCount);
  v.Integer("settled", m.settled, 0, kMaxCount);
  v.Object("totals", m.totals);
  v.List("reports", m.reports, kMaxUnsettledReports);
  v.Object("checkpoint", m.checkpoint);
}

void Fields(auto& v, Message<LeaveRequest> auto& m) {
  v.Object("worker", m.worker);
  v.Object("generation", m.generation);
  v.Integer("round", m.round, 0, kMaxCount);
  v.Integer("exitCode", m.exit_code, 0, 255);
  v.Text("reason", m.reason, kMaxTextBytes);
  if (v.Has("midRound")) v.Flag("midRound", m.mid_round);
  v.Object("checkpoint", m.checkpoint);
}

void Fields(auto& v, Message<GenerationRequest> auto& m) {
  v.Object("worker", m.worker);
  v.Object("after", m.after);
  v.Integer("round", m.round, 0, kMaxCount);
  v.Text("reason", m.reason, kMaxTextBytes);
  v.Number("waitSeconds", m.wait_seconds, 0, kMaxWaitSeconds);
}

void Fields(auto& v, Message<GenerationReply> auto& m) {
  v.Choice("state", m.state, kMemberStateNames);
  v.Object("generation", m.generation);
  v.Flag("failed", m.failed);
  v.Text("reason", m.reason, kMaxTextBytes);
}

void Fields(auto& v, Message<StoreSetRequest> auto& m) {
  v.Object("generation", m.generation);
  v.String("key", m.key, kMaxStoreKeyBytes);
  v.Bytes("value", m.value, kMaxStoreValueBytes);
}

void Fields(auto& v, Message<StoreReadRequest> auto& m) {
  v.Object("generation", m.generation);
  v.Integer("count", m.count, 0, kMaxCount);
  v.Number("waitSeconds", m.wait_seconds, 0, kMaxWaitSeconds);
}

void Fields(auto& v, Message<std::pair<std::string, std::vector<uint8_t>>> auto& m) {
  v.String("key", m.first, kMaxStoreKeyBytes);
  v.Bytes("value", m.second, kMaxStoreValueBytes);
}

void Fields(auto& v, Message<StoreReply> auto& m) {
  v.List("entries", m.entries, 1 << 20);
}

void Fields(auto& v, Message<ErrorReply> auto& m) {
  v.Choice("code", m.code, kErrorCodeNames);
  v.Text("message", m.message, kMaxTextBytes);
  v.Integer("term", m.term, 0, kMaxCount);
}

}  // namespace longstride
