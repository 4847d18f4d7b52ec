// Rounds: reports in, commitments and plans out.
#include <algorithm>

#include "controller/coordinator/coordinator.h"
#include "controller/coordinator/worker_names.h"
#include "core/base/format.h"

namespace longstride {

Status Coordinator::Report(const ReportRequest& request, TimePoint now) {
  if (end_) return {};
  Worker* worker = Find(request.worker);
  const int64_t rank = RankOf(request.worker);
  if (!worker) return NotFound(request.worker);
  if (rank < 0 || request.report.generation != generation_id_) return FencedError();
  if (rank != request.report.rank) {
    return UserError(Format("rank: %s has rank %lld", NameOf(PlaceOf(request.worker)).c_str(),
                            static_cast<long long>(rank)));
  }
  worker->last_seen = now;
  NoteCheckpoint(request.report.checkpoint);
  auto complete = ledger_.Add(request.report);
  if (!complete.ok() && complete.error().code != ErrorCode::kBug) return complete.error();
  CommitAll(std::move(complete));
  return {};
}

bool Coordinator::CommitAll(Result<RoundLedger::Rounds> rounds) {
  if (!rounds.ok()) {
    End(JobOutcome::kFailed, rounds.error().code, rounds.error().message);
    return false;
  }
  for (auto& reports : *rounds) Commit(std::move(reports));
  return true;
}

std::optional<RoundReply> Coordinator::ReplyTo(const RoundReport& report, bool now_or_never) const {
  const bool open = report.generation == generation_id_ && !broken_ && !end_;
  if (!now_or_never && open && ledger_.round() < report.round) return std::nullopt;
  RoundReply reply;
  if (report.generation == generation_id_) {
    for (const Plan& plan : planner_.plans()) {
      if (plan.version > report.plan_version) reply.plans.push_back(plan);
    }
    reply.reform = reform_;
    reply.committed = ledger_.round();
  }
  reply.stop = stop_reason_.has_value() || end_.has_value();
  reply.stop_reason = end_ ? end_->reason : stop_reason_.value_or("");
  return reply;
}

// Whether or not the round that it is reported with will be committed, the files are there.
void Coordinator::NoteCheckpoint(const std::optional<CommittedCheckpoint>& told) {
  if (!told || told->round <= checkpoint_) return;
  checkpoint_ = told->round;
  Emit(CheckpointEvent{*told});
}

void Coordinator::Commit(std::vector<RoundReport> reports) {
  RoundRecord record;
  for (const RoundReport& report : reports) {
    record.workers.push_back(members_[static_cast<size_t>(report.rank)].worker);
    NoteMicroBatch(PlaceOf(record.workers.back()), report);
  }
  record.reports = std::move(reports);
  const RoundReport common = record.common();
  round_seconds_ = common.wall_seconds;
  Emit(RoundCommittedEvent{record});
  if (common.evaluation_loss || common.evaluation_accuracy) {
    Emit(EvaluationEvent{common.round, common.cursor_end, common.evaluation_loss,
                         common.evaluation_accuracy, common.target_reached});
  }
  for (const auto& [worker, action] : stragglers_.Observe(record)) {
    if (action == StragglerAction::kReprofile) planner_.Reprofile(worker);
    // Not at once: this may be within the forming of a generation.
    if (action == StragglerAction::kShed && options_.job.spec.run_policy.shed_stragglers)
      shed_.push_back(worker);
  }
  if (const std::optional<Plan> plan = planner_.Observe(record)) {
    const auto predicted =
        Predict(options_.job.spec, *plan, common.next_global_batch, common.cursor_end);
    Emit(PlanIssuedEvent{*plan, predicted.ok() ? std::optional(*predicted) : std::nullopt,
                         "measured step and synchronization times"});
  }
}

}  // namespace longstride
