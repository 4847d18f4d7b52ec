#include "runtime/worker/training_watch.h"

#include <algorithm>
#include <utility>

#include "core/base/format.h"

namespace longstride {
namespace {

// More between two looks means that this process stood still.
constexpr double kLongestLook = 1;

}  // namespace

void TrainingWatch::Enter(GenerationId generation, double sync_seconds, TimePoint now) {
  const std::lock_guard lock(mutex_);
  position_.generation = generation;
  work_ = {};
  boundary_begun_ = now;
  boundary_seconds_ = std::max(boundary_seconds_, sync_seconds);
}

void TrainingWatch::Begins(const OwnWork& work, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const Kind before = std::exchange(work_, work).kind;
  if (before != Kind::kNone) {
    std::optional<double>& longest = longest_[static_cast<size_t>(before)];
    longest = std::max(longest.value_or(0), watched_);
  }
  if (before == Kind::kLocalStep) ++steps_done_;
  if (before == Kind::kLocalStep && work.kind != Kind::kLocalStep) boundary_begun_ = now;
  if (before != Kind::kLocalStep && work.kind == Kind::kLocalStep) {
    steps_begun_ = now;
    steps_done_ = 0;
  }
  begun_ = now;
  watched_ = 0;
}

void TrainingWatch::Committed(const RoundReport& report) {
  const std::lock_guard lock(mutex_);
  position_.round = report.round;
  boundary_seconds_ = report.seconds.communication + report.seconds.outer;
  checkpoint_seconds_ = std::max(checkpoint_seconds_, report.seconds.checkpoint);
}

std::optional<Error> TrainingWatch::Look(bool told_to_leave, TimePoint now) {
  const std::lock_guard lock(mutex_);
  watched_ += std::clamp(ToSeconds(now - std::exchange(looked_, now)), 0.0, kLongestLook);
  if (told_to_leave && !told_at_) told_at_ = now;
  if (told_at_ && grace_ > 0) {
    const double boundary = SecondsToBoundary(Outlook(now));
    const double left = grace_ - ToSeconds(now - *told_at_);
    if (!FitsIntoGrace(boundary, left, grace_)) {
      return InterruptedError(
          Format("stopped: a signal asked for it; the round is not finished, as that would take "
                 "%s, and %s are left of the %s until the kill",
                 FormatSeconds(boundary).c_str(), FormatSeconds(std::max(0.0, left)).c_str(),
                 FormatSeconds(grace_).c_str()));
    }
  }
  return Hang();
}

RoundOutlook TrainingWatch::Outlook(TimePoint now) const {
  RoundOutlook outlook;
  // Whenever a member leaves a checkpoint is written.
  outlook.boundary_seconds = boundary_seconds_ + checkpoint_seconds_;
  outlook.elapsed = ToSeconds(now - boundary_begun_);
  if (work_.kind != Kind::kLocalStep) return outlook;
  outlook.steps_left = work_.left;
  outlook.step_seconds = steps_done_ > 0
                             ? ToSeconds(begun_ - steps_begun_) / static_cast<double>(steps_done_)
                             : work_.seconds;
  outlook.elapsed = ToSeconds(now - begun_);
  return outlook;
}

std::optional<Error> TrainingWatch::Hang() const {
  if (work_.kind == Kind::kNone) return std::nullopt;
  const double limit = HangSeconds(work_.seconds, longest_[static_cast<size_t>(work_.kind)]);
  if (watched_ <= limit) return std::nullopt;
  return TransientError(Format(
      "%s has not ended after %s, at least ten times as long as it should take: the thread that "
      "trains hangs, in a device or in reading its samples; the worker should start anew",
      work_.kind == Kind::kLocalStep ? "a local step" : "a batch of the evaluation",
      FormatSeconds(watched_).c_str()));
}

TrainingWatch::Position TrainingWatch::position() const {
  const std::lock_guard lock(mutex_);
  return position_;
}

}  // namespace longstride
