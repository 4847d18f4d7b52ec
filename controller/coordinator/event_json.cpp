#include <nlohmann/json.hpp>

#include "controller/coordinator/events.h"
#include "core/protocol/json.h"

namespace longstride {
namespace {

using nlohmann::json;

json Id(const WorkerId& id) {
  return {{"group", id.group}, {"index", id.index}, {"incarnation", id.incarnation}};
}

json Id(const GenerationId& id) {
  return {{"term", id.term}, {"counter", id.counter}};
}

// Our own text is valid JSON by construction.
json Reparse(const std::string& text) {
  return json::parse(text, nullptr, false);
}

struct Writer {
  json operator()(const JoinedEvent& e) const {
    return {{"event", "joined"}, {"join", Reparse(ToJsonText(e.join))}};
  }
  json operator()(const RegisteredEvent& e) const {
    return {{"event", "registered"},          {"join", Reparse(ToJsonText(e.join))},
            {"generation", Id(e.generation)}, {"round", e.round},
            {"rounds", e.totals.rounds},      {"samples", e.totals.samples}};
  }
  json operator()(const GenerationFormedEvent& e) const {
    json members = json::array();
    for (const Member& m : e.members) {
      json member = Id(m.worker);
      member["address"] = m.address;
      members.push_back(std::move(member));
    }
    return {{"event", "generationFormed"},
            {"generation", Id(e.id)},
            {"backend", e.backend},
            {"members", std::move(members)}};
  }
  json operator()(const PlanIssuedEvent& e) const {
    json line{{"event", "planIssued"}, {"plan", Reparse(ToJsonText(e.plan))}, {"cause", e.cause}};
    if (e.prediction) {
      const PlanPrediction& p = *e.prediction;
      line["prediction"] = {{"globalBatch", p.global_batch}, {"batches", p.batches},
                            {"localSteps", p.local_steps},   {"stepSeconds", p.step_seconds},
                            {"syncSeconds", p.sync_seconds}, {"roundSeconds", p.round_seconds}};
    }
    return line;
  }
  json operator()(const RoundCommittedEvent& e) const {
    const RoundReport& r = e.record.common();
    return {{"event", "roundCommitted"}, {"round", r.round}, {"cursor", r.cursor_end}};
  }
  json operator()(const EvaluationEvent& e) const {
    json line{{"event", "evaluation"},
              {"round", e.round},
              {"cursor", e.cursor},
              {"targetReached", e.target_reached}};
    if (e.loss) line["loss"] = *e.loss;
    if (e.accuracy) line["accuracy"] = *e.accuracy;
    return line;
  }
  json operator()(const CheckpointEvent& e) const {
    return {
        {"event", "checkpoint"}, {"round", e.checkpoint.round}, {"samples", e.checkpoint.samples}};
  }
  json operator()(const WorkerLeftEvent& e) const {
    return {{"event", "workerLeft"},
            {"worker", Id(e.worker)},
            {"exitCode", e.exit_code},
            {"reason", e.reason}};
  }
  json operator()(const WorkerLostEvent& e) const {
    return {{"event", "workerLost"}, {"worker", Id(e.worker)}, {"reason", e.reason}};
  }
  json operator()(const GenerationOverEvent& e) const {
    return {{"event", "generationOver"}, {"generation", Id(e.id)}, {"reason", e.reason}};
  }
  json operator()(const WaitingEvent& e) const {
    return {{"event", "waiting"}, {"workers", e.present}, {"minReplicas", e.min}};
  }
  json operator()(const ScaledEvent& e) const {
    return {{"event", "scaled"}, {"replicas", e.replicas}};
  }
  json operator()(const StopRequestedEvent& e) const {
    return {{"event", "stopRequested"}, {"reason", e.reason}};
  }
  json operator()(const EndedEvent& e) const {
    json line{
        {"event", "ended"}, {"outcome", JobOutcomeName(e.end.outcome)}, {"reason", e.end.reason}};
    if (e.end.outcome == JobOutcome::kFailed) line["code"] = ErrorCodeName(e.end.code);
    return line;
  }
};

}  // namespace

const char* JobOutcomeName(JobOutcome outcome) {
  constexpr const char* kNames[] = {"completed", "stopped", "planned", "failed"};
  return kNames[static_cast<size_t>(outcome)];
}

std::string ToJsonLine(const Event& event) {
  json line = std::visit(Writer{}, event.data);
  line["time"] = event.unix_seconds;
  return line.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace longstride
