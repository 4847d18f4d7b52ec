// What `longstride run` shows while it trains: one line that is redrawn on a terminal, or plain
// lines now and then where there is none. Pure rendering; the caller writes.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "cli/run_totals.h"

namespace longstride {

class Progress {
 public:
  // `max_samples` 0 = unknown; it may become known later.
  explicit Progress(int64_t max_samples) : max_samples_(max_samples) {}

  void SetMaxSamples(int64_t samples) { max_samples_ = samples; }
  void Add(const RoundRecord& record);

  // Samples a second over about the last ten seconds of training, and what is left at that rate; 0
  // = unknown.
  [[nodiscard]] double SamplesPerSecond() const;
  [[nodiscard]] double SecondsLeft() const;
  // Done share of max_samples in [0, 1]; 0 = unknown.
  [[nodiscard]] double Fraction() const;

  // One line of at most `width` columns: the least important parts are left out where it is too
  // long.
  [[nodiscard]] std::string RenderLine(int width) const;
  // The same facts for a log.
  [[nodiscard]] std::string RenderPlain() const;

  [[nodiscard]] const RunTotals& totals() const { return totals_; }

 private:
  struct Recent {
    double samples = 0;
    double seconds = 0;
  };
  int64_t max_samples_;
  RunTotals totals_;
  std::deque<Recent> recent_;
  Recent window_;  // sum of recent_
};

}  // namespace longstride
