#include "core/schedule/allocation.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "core/base/format.h"

namespace longstride {
namespace {

using Batches = std::vector<int64_t>;

int64_t Sum(const Batches& batches) {
  return std::accumulate(batches.begin(), batches.end(), int64_t{0});
}

// The largest batch in [min, max] with step time <= seconds; min where none is.
int64_t LargestBatch(const WorkerCost& worker, double seconds) {
  int64_t low = worker.min;
  int64_t high = worker.max;
  while (low < high) {
    const int64_t middle = high - (high - low) / 2;
    if (StepSeconds(worker, middle) <= seconds) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

Batches LargestBatches(std::span<const WorkerCost> workers, double seconds) {
  Batches batches;
  batches.reserve(workers.size());
  for (const WorkerCost& w : workers) batches.push_back(LargestBatch(w, seconds));
  return batches;
}

// Deals `total` <= sum of `room` in proportion to it by largest remainder; shares never exceed the
// room.
Batches DealByLargestRemainder(const Batches& room, int64_t total) {
  const __int128 sum = std::max<int64_t>(1, Sum(room));
  Batches shares(room.size());
  Batches remainders(room.size());
  for (size_t m = 0; m < room.size(); ++m) {
    const __int128 product = static_cast<__int128>(total) * room[m];
    shares[m] = static_cast<int64_t>(product / sum);
    remainders[m] = static_cast<int64_t>(product % sum);
  }
  std::vector<size_t> order(room.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return remainders[a] > remainders[b]; });
  const int64_t missing = total - Sum(shares);
  for (int64_t i = 0; i < missing; ++i) ++shares[order[static_cast<size_t>(i)]];
  return shares;
}

Status Check(std::span<const WorkerCost> workers, int64_t batch) {
  if (workers.empty()) return UserError("no workers to split the global batch over");
  int64_t least = 0;
  int64_t most = 0;
  for (size_t m = 0; m < workers.size(); ++m) {
    const WorkerCost& w = workers[m];
    if (!(w.alpha >= 0 && w.beta >= 0 && std::isfinite(w.alpha) && std::isfinite(w.beta)) ||
        w.micro_batch < 1) {
      return BugError(Format("rank %zu: step time alpha %g, beta %g, micro-batch %lld is not valid",
                             m, w.alpha, w.beta, static_cast<long long>(w.micro_batch)));
    }
    if (w.min < 0 || w.min > w.max) {
      return UserError(
          Format("rank %zu: smallest local batch %lld is negative or above the largest, %lld", m,
                 static_cast<long long>(w.min), static_cast<long long>(w.max)));
    }
    least += std::min(w.min, batch + 1);  // capped, so that silly bounds cannot overflow the sums
    most += std::min(w.max, batch + 1);
  }
  if (batch < least) {
    return UserError(
        Format("global batch %lld is below the sum of the workers' smallest batches, %lld: "
               "raise the global batch or lower workers[].batch.min",
               static_cast<long long>(batch), static_cast<long long>(least)));
  }
  if (batch > most) {
    return UserError(
        Format("global batch %lld is above the sum of the workers' largest batches, %lld: "
               "lower the global batch or raise workers[].batch.max",
               static_cast<long long>(batch), static_cast<long long>(most)));
  }
  return {};
}

}  // namespace

double StepSeconds(const WorkerCost& worker, int64_t batch) {
  const int64_t micro_batches =
      batch / worker.micro_batch + (batch % worker.micro_batch != 0 ? 1 : 0);
  return worker.alpha * static_cast<double>(micro_batches) +
         worker.beta * static_cast<double>(batch);
}

double Makespan(std::span<const WorkerCost> workers, std::span<const int64_t> batches) {
  double seconds = 0;
  for (size_t m = 0; m < workers.size(); ++m) {
    seconds = std::max(seconds, StepSeconds(workers[m], batches[m]));
  }
  return seconds;
}

Result<std::vector<int64_t>> AllocateBatch(std::span<const WorkerCost> workers, int64_t batch) {
  LONGSTRIDE_RETURN_IF_ERROR(Check(workers, batch));
  std::vector<WorkerCost> capped(workers.begin(), workers.end());
  double longest = 0;
  Batches lower;
  for (WorkerCost& w : capped) {
    w.max = std::min(w.max, batch);
    longest = std::max(longest, StepSeconds(w, w.max));
    lower.push_back(w.min);
  }
  // Bisection over the bit patterns of T: non-negative doubles are ordered as they are. It ends at
  // the smallest T at which the workers can hold the batch, exactly.
  uint64_t low = 0;
  uint64_t high = std::bit_cast<uint64_t>(longest);
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (Sum(LargestBatches(capped, std::bit_cast<double>(middle))) >= batch) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  const Batches upper = LargestBatches(capped, std::bit_cast<double>(low));
  if (low > 0) lower = LargestBatches(capped, std::bit_cast<double>(low - 1));
  Batches room(upper.size());
  for (size_t m = 0; m < room.size(); ++m) room[m] = upper[m] - lower[m];
  const Batches extra = DealByLargestRemainder(room, batch - Sum(lower));
  for (size_t m = 0; m < lower.size(); ++m) lower[m] += extra[m];
  return lower;
}

Result<std::vector<int64_t>> SplitEqually(std::span<const WorkerCost> workers, int64_t batch) {
  std::vector<WorkerCost> equal(workers.begin(), workers.end());
  for (WorkerCost& w : equal) {
    w.alpha = 0;
    w.beta = 1;
  }
  return AllocateBatch(equal, batch);
}

}  // namespace longstride
