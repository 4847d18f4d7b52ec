// Measures, before training, how long a step of b samples takes and how large a micro-batch memory
// holds (algorithms.md section 1). Knows neither model nor machine: both are callables, so every
// decision is tested with fakes.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "runtime/profile/memory_model.h"

namespace longstride {

struct ThroughputProbe {
  // Seconds of one optimizer step over `batch` samples in micro-batches of at most `micro_batch`.
  std::function<Result<double>(int64_t batch, int64_t micro_batch)> time_step;
  // The most memory held so far, in bytes. Must not fall.
  std::function<int64_t()> peak_memory_bytes;
};

struct ThroughputOptions {
  int64_t max_batch = 4096;        // of the worker's group; nothing above it is tried
  int64_t memory_limit_bytes = 0;  // 0 = unknown: memory sets no bound
  // Measuring stops here (where memory bounds the micro-batch, at four times it); a step under way
  // is finished.
  double budget_seconds = 1.5;
  int64_t min_batch = 1;  // fewest samples that a step can take; tried even above max_batch
};

struct ThroughputProfile {
  double alpha = 0;               // seconds per micro-batch
  double beta = 0;                // seconds per sample
  int64_t micro_batch_cap = 1;    // largest micro-batch that fits in memory, up to max_batch
  int64_t memory_peak_bytes = 0;  // predicted (or seen) at micro_batch_cap
  std::vector<std::pair<int64_t, double>> points;  // (batch, median seconds)
  MemoryModel memory{0};                           // should the limit change later
};

// Steps through batches 1, 4, 16, ... (times min_batch) up to max_batch, each as one micro-batch,
// and takes no step that is predicted to pass the budget or 90 % of the memory limit (a process
// that tries is killed, not told): where the next batch of the row would, the largest one that fits
// is tried. Then the row is measured over and over until the budget is spent (unless it took under
// a tenth of it): workers that share a machine measure at the same time, and so all of them see the
// same contention. kResource when not even min_batch fits; otherwise errors of time_step, except
// that kResource from a larger batch ends the row.
[[nodiscard]] Result<ThroughputProfile> MeasureThroughput(const ThroughputProbe& probe,
                                                          const ThroughputOptions& options,
                                                          const Clock& clock);

}  // namespace longstride
