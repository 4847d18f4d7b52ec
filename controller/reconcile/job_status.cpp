#include "controller/reconcile/job_status.h"

#include <algorithm>
#include <cmath>

#include "core/base/format.h"
#include "core/base/timestamps.h"

namespace longstride {
namespace {

using nlohmann::json;

// Reading: a member of another type is left at its default.
void Read(const json& from, const char* key, std::string& to) {
  if (const auto it = from.find(key); it != from.end() && it->is_string()) to = *it;
}
void Read(const json& from, const char* key, int64_t& to) {
  if (const auto it = from.find(key); it != from.end() && it->is_number()) to = *it;
}
void Read(const json& from, const char* key, double& to) {
  if (const auto it = from.find(key); it != from.end() && it->is_number()) to = *it;
}
void Read(const json& from, const char* key, std::optional<double>& to) {
  if (const auto it = from.find(key); it != from.end() && it->is_number()) to = it->get<double>();
}
void ReadTime(const json& from, const char* key, double& to) {
  std::string text;
  Read(from, key, text);
  to = FromTime(text);
}
const json& Child(const json& from, const char* key, json::value_t type) {
  static const json kNone;
  const auto it = from.find(key);
  return it != from.end() && it->type() == type ? *it : kNone;
}

// Writing: what says nothing is left out.
void Write(json& to, const char* key, const std::string& value) {
  if (!value.empty()) to[key] = value;
}
void Write(json& to, const char* key, int64_t value) {
  if (value != 0) to[key] = value;
}
void WriteTime(json& to, const char* key, double value) {
  if (value > 0) to[key] = FormatTime(value);
}
// Six digits are enough for people, and keep a document small.
double Rounded(double value) {
  return value == 0 || !std::isfinite(value) ? 0 : std::stod(Format("%.6g", value));
}
void Write(json& to, const char* key, const std::optional<double>& value) {
  if (value && std::isfinite(*value)) to[key] = Rounded(*value);
}

// One list for each member, by index, so that a thousand workers stay readable.
constexpr std::pair<const char*, int64_t WorkerRecord::*> kColumns[] = {
    {"incarnations", &WorkerRecord::incarnation},
    {"ended", &WorkerRecord::ended},
    {"failures", &WorkerRecord::failures},
    {"endedAt", &WorkerRecord::ended_at},
};

JobTotals TotalsFromJson(const json& from) {
  JobTotals totals;
  const json& sent = Child(from, "sentBytes", json::value_t::object);
  for (size_t i = 0; i < kPurposeNames.size(); ++i)
    Read(sent, kPurposeNames[i], totals.sent_bytes[i]);
  Read(from, "dataParallelBytes", totals.data_parallel_bytes);
  const json& seconds = Child(from, "activitySeconds", json::value_t::object);
  for (const auto& [name, activity] : kActivities) Read(seconds, name, totals.seconds.*activity);
  return totals;
}

json ToJson(const JobTotals& totals) {
  json to = {{"dataParallelBytes", totals.data_parallel_bytes}};
  for (size_t i = 0; i < kPurposeNames.size(); ++i)
    to["sentBytes"][kPurposeNames[i]] = totals.sent_bytes[i];
  for (const auto& [name, activity] : kActivities)
    to["activitySeconds"][name] = Rounded(totals.seconds.*activity);
  return to;
}

GroupStatus GroupFromJson(const json& from) {
  GroupStatus group;
  Read(from, "name", group.name);
  Read(from, "replicas", group.replicas);
  Read(from, "ready", group.ready);
  const json& profile = Child(from, "profile", json::value_t::object);
  Read(profile, "alphaSeconds", group.alpha);
  Read(profile, "betaSeconds", group.beta);
  Read(profile, "microBatchCap", group.micro_batch_cap);
  Read(profile, "share", group.share);
  for (const auto& [key, member] : kColumns) {
    const json& column = Child(from, key, json::value_t::array);
    group.workers.resize(std::max(group.workers.size(), std::min<size_t>(column.size(), 1024)));
    for (size_t i = 0; i < std::min(column.size(), group.workers.size()); ++i) {
      if (column[i].is_number()) group.workers[i].*member = column[i];
    }
  }
  return group;
}

json ToJson(const GroupStatus& group) {
  json to = {{"name", group.name}, {"replicas", group.replicas}, {"ready", group.ready}};
  if (group.micro_batch_cap > 0) {
    to["profile"] = {{"alphaSeconds", Rounded(group.alpha)},
                     {"betaSeconds", Rounded(group.beta)},
                     {"microBatchCap", group.micro_batch_cap},
                     {"share", Rounded(group.share)}};
  }
  for (const auto& [key, member] : kColumns) {
    json column = json::array();
    bool any = false;
    for (const WorkerRecord& worker : group.workers) {
      column.push_back(worker.*member);
      any = any || worker.*member != 0;
    }
    if (any) to[key] = std::move(column);
  }
  return to;
}

}  // namespace

JobTotals Greater(JobTotals a, const JobTotals& b) {
  for (size_t i = 0; i < a.sent_bytes.size(); ++i)
    a.sent_bytes[i] = std::max(a.sent_bytes[i], b.sent_bytes[i]);
  a.data_parallel_bytes = std::max(a.data_parallel_bytes, b.data_parallel_bytes);
  for (const auto& [name, activity] : kActivities)
    a.seconds.*activity = std::max(a.seconds.*activity, b.seconds.*activity);
  return a;
}

const JobCondition* JobStatus::Find(const std::string& type) const {
  const auto it = std::ranges::find(conditions, type, &JobCondition::type);
  return it == conditions.end() ? nullptr : &*it;
}

bool JobStatus::Holds(const std::string& type) const {
  const JobCondition* condition = Find(type);
  return condition != nullptr && condition->holds;
}

void JobStatus::Set(const std::string& type, bool holds, std::string reason, std::string message,
                    double now) {
  auto it = std::ranges::find(conditions, type, &JobCondition::type);
  if (it == conditions.end()) it = conditions.insert(it, JobCondition{type, !holds, "", "", 0});
  if (it->holds != holds) it->since = std::floor(now);
  it->holds = holds;
  it->reason = std::move(reason);
  it->message = std::move(message);
}

GroupStatus* JobStatus::Group(const std::string& name) {
  const auto it = std::ranges::find(groups, name, &GroupStatus::name);
  return it == groups.end() ? nullptr : &*it;
}

const GroupStatus* JobStatus::Group(const std::string& name) const {
  return const_cast<JobStatus*>(this)->Group(name);
}

JobStatus StatusFromJson(const json& from) {
  JobStatus status;
  if (!from.is_object()) return status;
  Read(from, "observedGeneration", status.observed_generation);
  Read(from, "state", status.state);
  for (const json& each : Child(from, "conditions", json::value_t::array)) {
    if (!each.is_object()) continue;
    JobCondition condition;
    std::string holds;
    Read(each, "type", condition.type);
    Read(each, "status", holds);
    Read(each, "reason", condition.reason);
    Read(each, "message", condition.message);
    ReadTime(each, "lastTransitionTime", condition.since);
    condition.holds = holds == "True";
    if (!condition.type.empty()) status.conditions.push_back(std::move(condition));
  }
  Read(from, "replicas", status.replicas);
  Read(from, "readyReplicas", status.ready_replicas);
  Read(from, "selector", status.selector);
  TrainingProgress& progress = status.progress;
  Read(from, "round", progress.round);
  Read(from, "samples", progress.samples);
  Read(from, "epoch", progress.epoch);
  Read(from, "globalBatch", progress.global_batch);
  Read(from, "localSteps", progress.local_steps);
  Read(from, "loss", progress.loss);
  Read(from, "accuracy", progress.accuracy);
  Read(from, "bytesSent", progress.bytes_sent);
  Read(from, "communicationPercent", progress.communication_percent);
  progress.totals = TotalsFromJson(Child(from, "totals", json::value_t::object));
  if (const json& at = Child(from, "lastCheckpoint", json::value_t::object); at.is_object()) {
    CheckpointRecord checkpoint;
    Read(at, "round", checkpoint.round);
    Read(at, "samples", checkpoint.samples);
    ReadTime(at, "time", checkpoint.time);
    status.last_checkpoint = checkpoint;
  }
  Read(from, "discardedSamples", status.discarded_samples);
  Read(from, "restarts", status.restarts);
  if (const json& at = Child(from, "lastFailure", json::value_t::object); at.is_object()) {
    LastFailure failure;
    Read(at, "worker", failure.worker);
    Read(at, "pod", failure.pod);
    Read(at, "node", failure.node);
    Read(at, "reason", failure.reason);
    Read(at, "exitCode", failure.exit_code);
    Read(at, "message", failure.message);
    ReadTime(at, "time", failure.time);
    status.last_failure = failure;
  }
  for (const json& each : Child(from, "groups", json::value_t::array)) {
    if (each.is_object()) status.groups.push_back(GroupFromJson(each));
  }
  Read(from, "specHash", status.spec_hash);
  ReadTime(from, "startTime", status.start_time);
  ReadTime(from, "completionTime", status.completion_time);
  ReadTime(from, "waitingSince", status.waiting_since);
  ReadTime(from, "retryTime", status.retry_time);
  ReadTime(from, "stopRequestedTime", status.stop_requested);
  Read(from, "startAttempts", status.start_attempts);
  return status;
}

json ToJson(const JobStatus& status) {
  json to = {{"observedGeneration", status.observed_generation},
             {"state", status.state},
             {"replicas", status.replicas},
             {"readyReplicas", status.ready_replicas},
             {"ready", Format("%lld/%lld", static_cast<long long>(status.ready_replicas),
                              static_cast<long long>(status.replicas))},
             {"restarts", status.restarts},
             {"conditions", json::array()}};
  for (const JobCondition& condition : status.conditions) {
    to["conditions"].push_back({{"type", condition.type},
                                {"status", condition.holds ? "True" : "False"},
                                // Each look judges all of them by the spec that it sees.
                                {"observedGeneration", status.observed_generation},
                                {"reason", condition.reason},
                                {"message", condition.message},
                                {"lastTransitionTime", FormatTime(condition.since)}});
  }
  Write(to, "selector", status.selector);
  const TrainingProgress& progress = status.progress;
  Write(to, "round", progress.round);
  Write(to, "samples", progress.samples);
  if (progress.epoch > 0) to["epoch"] = Rounded(progress.epoch);
  Write(to, "globalBatch", progress.global_batch);
  Write(to, "localSteps", progress.local_steps);
  Write(to, "loss", progress.loss);
  Write(to, "accuracy", progress.accuracy);
  Write(to, "bytesSent", progress.bytes_sent);
  if (progress.round > 0) to["communicationPercent"] = Rounded(progress.communication_percent);
  if (progress.totals != JobTotals{}) to["totals"] = ToJson(progress.totals);
  if (const auto& checkpoint = status.last_checkpoint) {
    to["lastCheckpoint"] = {{"round", checkpoint->round}, {"samples", checkpoint->samples}};
    WriteTime(to["lastCheckpoint"], "time", checkpoint->time);
  }
  Write(to, "discardedSamples", status.discarded_samples);
  if (const auto& failure = status.last_failure) {
    json& at = to["lastFailure"];
    at = {{"worker", failure->worker}, {"reason", failure->reason}, {"pod", failure->pod}};
    Write(at, "node", failure->node);
    Write(at, "message", failure->message);
    if (failure->exit_code >= 0) at["exitCode"] = failure->exit_code;
    WriteTime(at, "time", failure->time);
  }
  if (!status.groups.empty()) to["groups"] = json::array();
  for (const GroupStatus& group : status.groups) to["groups"].push_back(ToJson(group));
  Write(to, "specHash", status.spec_hash);
  WriteTime(to, "startTime", status.start_time);
  WriteTime(to, "completionTime", status.completion_time);
  WriteTime(to, "waitingSince", status.waiting_since);
  WriteTime(to, "retryTime", status.retry_time);
  WriteTime(to, "stopRequestedTime", status.stop_requested);
  Write(to, "startAttempts", status.start_attempts);
  return to;
}

bool DiffersAtOnce(const JobStatus& a, const JobStatus& b) {
  JobStatus c = b;
  c.progress = a.progress;
  // A checkpoint every few rounds is progress; the first is news.
  if (a.last_checkpoint.has_value() == b.last_checkpoint.has_value())
    c.last_checkpoint = a.last_checkpoint;
  for (GroupStatus& group : c.groups) {
    if (const GroupStatus* before = a.Group(group.name);
        before != nullptr && before->micro_batch_cap > 0 && group.micro_batch_cap > 0) {
      group.alpha = before->alpha;
      group.beta = before->beta;
      group.micro_batch_cap = before->micro_batch_cap;
      group.share = before->share;
    }
  }
  return a != c;
}

double FromTime(const std::string& text) {
  return std::floor(ParseTime(text).value_or(0));
}

}  // namespace longstride
