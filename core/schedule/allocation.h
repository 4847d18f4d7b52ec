// How a global batch is dealt to unlike workers so that all finish a local step at about the same
// time [cf. Cannikin, Nie et al. 2023; LB-BSP, Chen et al. 2020]. Pure and deterministic: ranks
// that pass equal arguments get equal splits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/result.h"

namespace longstride {

// Step time of a worker: t(b) = alpha * ceil(b / micro_batch) + beta * b.
struct WorkerCost {
  double alpha = 0;  // seconds per micro-batch, >= 0
  double beta = 0;   // seconds per sample, >= 0
  int64_t micro_batch =
      1 << 30;            // c: largest micro-batch that memory holds, >= 1; never bounds b itself
  int64_t min = 1;        // samples, >= 0
  int64_t max = 1 << 30;  // samples, >= min
};

// Seconds of a local step with a local batch of `batch` samples, without synchronization.
[[nodiscard]] double StepSeconds(const WorkerCost& worker, int64_t batch);

// Seconds of the slowest worker. batches.size() == workers.size().
[[nodiscard]] double Makespan(std::span<const WorkerCost> workers,
                              std::span<const int64_t> batches);

// The local batches b_m, in rank order: sum b_m = batch exactly, min <= b_m <= max, with the
// smallest possible makespan over integers. The time T is found by bisection on sum clamp(b_m(T),
// min, max), where b_m(T) is the largest batch with t_m <= T; what is missing just below T is dealt
// in proportion to what each worker gains at T, by largest remainder, ties to the lower rank.
// Errors: kUser naming the constraint that binds (no workers, bounds that cross, batch below the
// sum of the minima or above the sum of the maxima); kBug for costs that are negative or not
// finite.
[[nodiscard]] Result<std::vector<int64_t>> AllocateBatch(std::span<const WorkerCost> workers,
                                                         int64_t batch);

// As AllocateBatch, but as equal as the bounds allow, whatever the speeds; ranks that come first
// get the remainder.
[[nodiscard]] Result<std::vector<int64_t>> SplitEqually(std::span<const WorkerCost> workers,
                                                        int64_t batch);

}  // namespace longstride
