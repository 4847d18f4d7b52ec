// Tells the user how a run goes: events in, lines on the terminal out. Not thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "cli/progress.h"
#include "cli/terminal.h"
#include "controller/coordinator/epoch_size.h"
#include "controller/coordinator/events.h"
#include "core/base/clock.h"
#include "core/spec/training_job.h"

namespace longstride {

class RunDisplay {
 public:
  // `earlier`: rounds of an earlier start of the same run that hold so far.
  RunDisplay(const TrainingJob& job, std::vector<RoundRecord> earlier, Terminal& terminal,
             const Clock& clock);

  void Show(const Event& event);
  // Redraws the line, if it is time for it.
  void Tick();
  // The last state of the line stays on the screen.
  void Finish();

 private:
  void AddEarlier(int64_t before_round);
  void ShowRound(const RoundRecord& record);
  void PlainLine();

  const TrainingJobSpec spec_;
  std::optional<std::vector<RoundRecord>>
      earlier_;  // until the first new round tells which of them hold
  Terminal& terminal_;
  const Clock& clock_;
  Progress progress_;
  EpochSize epoch_;
  int64_t joined_ = 0;
  bool dirty_ = false;  // there is something new to draw
  TimePoint last_output_;
};

}  // namespace longstride
