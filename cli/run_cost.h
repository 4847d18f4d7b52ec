// What a run cost, by the prices in spec.cost. Pure.
#pragma once

#include <optional>
#include <string>

#include "cli/run_totals.h"
#include "core/spec/training_job.h"

namespace longstride {

// Of the committed rounds only: a worker's start, profiling, waiting between generations and rounds
// that are run again are not in it.
struct RunCost {
  double worker_hours = 0;    // wall time of all workers
  double gigabytes_sent = 0;  // 10^9 bytes, by all workers
  double total = 0;           // in the prices' currency
};

// Nothing without a price.
[[nodiscard]] std::optional<RunCost> CostOf(const RunTotals& totals, const CostSpec& prices);

// "1.30 EUR: 0.5 worker-hours x 2 + 3 GB sent x 0.1"; leaves out what has no price.
[[nodiscard]] std::string CostText(const RunCost& cost, const CostSpec& prices);

}  // namespace longstride
