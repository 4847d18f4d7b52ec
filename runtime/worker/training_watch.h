// Watches the thread that trains, for the two reasons to end a worker in the middle of a round: it
// was told to leave and the round's boundary would come after the kill, or the thread hangs in work
// of its own (a read from a dead disk, a device that does not answer). A thread that waits for
// other members, or for a checkpoint's disk, is never taken to hang: what it waits for takes as
// long as it takes.
//
// Thread-safe. Reads no clock: the time is passed in.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "runtime/training/control_channel.h"
#include "runtime/worker/round_outlook.h"

namespace longstride {

class TrainingWatch {
 public:
  // `grace_seconds`: from the signal to leave to the kill; 0 = nobody kills.
  explicit TrainingWatch(double grace_seconds) : grace_(grace_seconds) {}

  // By the thread that trains: it enters a generation whose plan predicts a synchronization of
  // `sync_seconds`; it begins work of its own; it has committed a round.
  void Enter(GenerationId generation, double sync_seconds, TimePoint now);
  void Begins(const OwnWork& work, TimePoint now);
  void Committed(const RoundReport& report);

  // By another thread, a few times a second. Why the worker ends now: kInterrupted, or kTransient
  // when the thread hangs; absent: it goes on.
  [[nodiscard]] std::optional<Error> Look(bool told_to_leave, TimePoint now);

  // Where it ends.
  struct Position {
    GenerationId generation;
    int64_t round = 0;  // committed
  };
  [[nodiscard]] Position position() const;

 private:
  using Kind = OwnWork::Kind;
  static constexpr size_t kKinds = 3;

  // Both under mutex_.
  [[nodiscard]] RoundOutlook Outlook(TimePoint now) const;
  [[nodiscard]] std::optional<Error> Hang() const;

  const double grace_;
  mutable std::mutex mutex_;
  Position position_;
  OwnWork work_;
  TimePoint begun_;           // work_
  TimePoint steps_begun_;     // of this round
  TimePoint boundary_begun_;  // the last local step ended, or the generation was entered
  int64_t steps_done_ = 0;
  double boundary_seconds_ = 0;  // of the last round, or as the plan has it
  double checkpoint_seconds_ = 0;
  // Time that has passed with work_, in small steps: while this process was frozen or its machine
  // asleep none has.
  double watched_ = 0;
  TimePoint looked_;
  std::array<std::optional<double>, kKinds> longest_;  // by kind, as watched_
  std::optional<TimePoint> told_at_;
};

}  // namespace longstride
