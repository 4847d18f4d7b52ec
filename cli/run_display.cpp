#include "cli/run_display.h"

#include <algorithm>

#include "core/base/format.h"

namespace longstride {
namespace {

// Between plain lines; with a new evaluation, which is worth one sooner.
constexpr Duration kPlainPeriod = std::chrono::seconds(5);
constexpr Duration kEvaluationPeriod = std::chrono::seconds(1);

// Where the job ends by its sample count; 0 = it has no such end, or it is not known yet.
int64_t MaxSamples(const TrainingSpec& training, int64_t train_samples) {
  int64_t most = training.max_samples;
  if (training.max_epochs > 0 && train_samples > 0) {
    const auto epochs =
        static_cast<int64_t>(training.max_epochs * static_cast<double>(train_samples));
    most = most > 0 ? std::min(most, epochs) : epochs;
  }
  return most;
}

}  // namespace

RunDisplay::RunDisplay(const TrainingJob& job, std::vector<RoundRecord> earlier, Terminal& terminal,
                       const Clock& clock)
    : spec_(job.spec),
      earlier_(std::move(earlier)),
      terminal_(terminal),
      clock_(clock),
      progress_(MaxSamples(job.spec.training, 0)),
      epoch_(job.spec.data.placement) {}

void RunDisplay::AddEarlier(int64_t before_round) {
  if (!earlier_) return;
  for (const RoundRecord& record : *earlier_) {
    if (record.common().round < before_round) progress_.Add(record);
  }
  earlier_.reset();
}

void RunDisplay::Show(const Event& event) {
  if (const auto* joined = std::get_if<JoinedEvent>(&event.data)) {
    progress_.SetMaxSamples(MaxSamples(spec_.training, epoch_.Add(joined->join)));
    const WorkerProfile& profile = joined->join.profile;
    terminal_.Print(
        Format("%s-%lld is ready (%lld of %lld): %s, %lld thread%s, %.3g samples/s",
               joined->join.worker.group.c_str(), static_cast<long long>(joined->join.worker.index),
               static_cast<long long>(++joined_), static_cast<long long>(spec_.replicas),
               profile.device_name.c_str(), static_cast<long long>(profile.threads),
               profile.threads == 1 ? "" : "s", profile.beta > 0 ? 1 / profile.beta : 0));
  } else if (const auto* round = std::get_if<RoundCommittedEvent>(&event.data)) {
    ShowRound(round->record);
  } else if (const auto* stop = std::get_if<StopRequestedEvent>(&event.data)) {
    terminal_.Print("stopping at the next round boundary: " + stop->reason);
  } else if (const auto* over = std::get_if<GenerationOverEvent>(&event.data)) {
    terminal_.Print("the members change: " + over->reason);
  } else if (const auto* formed = std::get_if<GenerationFormedEvent>(&event.data)) {
    if (formed->id.counter > 1)
      terminal_.Print(Format("training goes on with %zu workers", formed->members.size()));
  } else if (const auto* waiting = std::get_if<WaitingEvent>(&event.data)) {
    terminal_.Print(Format("waiting: %lld workers are ready, minReplicas asks for %lld",
                           static_cast<long long>(waiting->present),
                           static_cast<long long>(waiting->min)));
  } else if (const auto* scaled = std::get_if<ScaledEvent>(&event.data)) {
    terminal_.Print(Format("scaling to %lld workers", static_cast<long long>(scaled->replicas)));
  } else if (const auto* lost = std::get_if<WorkerLostEvent>(&event.data)) {
    terminal_.Print(Format("%s-%lld is lost: %s", lost->worker.group.c_str(),
                           static_cast<long long>(lost->worker.index), lost->reason.c_str()));
  }
}

void RunDisplay::ShowRound(const RoundRecord& record) {
  const bool first = earlier_.has_value();
  AddEarlier(record.common().round);
  progress_.Add(record);
  dirty_ = true;
  const bool evaluated =
      record.common().evaluation_loss && clock_.Now() - last_output_ >= kEvaluationPeriod;
  if (!terminal_.interactive() && (first || evaluated)) PlainLine();
}

void RunDisplay::PlainLine() {
  terminal_.Print(progress_.RenderPlain());
  dirty_ = false;
  last_output_ = clock_.Now();
}

void RunDisplay::Tick() {
  if (!dirty_) return;
  if (terminal_.interactive()) {
    terminal_.Draw(progress_.RenderLine(terminal_.Width() - 1));
    dirty_ = false;
  } else if (clock_.Now() - last_output_ >= kPlainPeriod) {
    PlainLine();
  }
}

void RunDisplay::Finish() {
  if (!dirty_) return;
  if (terminal_.interactive()) {
    Tick();
  } else {
    PlainLine();
  }
}

}  // namespace longstride
