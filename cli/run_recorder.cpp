#include "cli/run_recorder.h"

#include "core/protocol/json.h"

namespace longstride {

Result<std::unique_ptr<RunRecorder>> RunRecorder::Open(const RunDirectory& directory,
                                                       int64_t last_round, const RunFacts& facts,
                                                       DataPlacement placement) {
  LONGSTRIDE_ASSIGN_OR_RETURN(auto events, LineFile::OpenForAppend(directory.events()));
  LONGSTRIDE_ASSIGN_OR_RETURN(auto plans, LineFile::OpenForAppend(directory.plans()));
  LONGSTRIDE_ASSIGN_OR_RETURN(auto rounds, LineFile::OpenForAppend(directory.rounds()));
  return std::unique_ptr<RunRecorder>(
      new RunRecorder(directory, facts, placement, std::move(events), std::move(plans),
                      RoundLogWriter(std::move(rounds), last_round)));
}

Status RunRecorder::Write(const Event& event) {
  LONGSTRIDE_RETURN_IF_ERROR(events_->Append(ToJsonLine(event)));
  if (const auto* plan = std::get_if<PlanIssuedEvent>(&event.data)) {
    return plans_->Append(ToJsonText(plan->plan));
  }
  if (const auto* round = std::get_if<RoundCommittedEvent>(&event.data))
    return rounds_.Append(round->record);
  if (const auto* joined = std::get_if<JoinedEvent>(&event.data)) {
    const int64_t epoch = epoch_.Add(joined->join);
    if (facts_.parameters == joined->join.parameters && facts_.train_samples == epoch) {
      return Status();
    }
    facts_.parameters = joined->join.parameters;
    facts_.train_samples = epoch;
    return WriteFacts(directory_.facts(), facts_);
  }
  return Status();
}

}  // namespace longstride
