#include "runtime/training/local_round.h"

#include <algorithm>
#include <cmath>

#include "core/base/format.h"
#include "core/base/random.h"
#include "core/schedule/allocation.h"
#include "core/schedule/sums.h"

namespace longstride {
namespace {

// Keeps the global L2 norm of the gradient at or below `limit`, as torch.nn.utils.clip_grad_norm_.
template <typename T>
double ClippingScale(std::span<const GradientSegment<T>> gradients, double limit) {
  if (limit <= 0) return 1;
  double squared = 0;
  for (const GradientSegment<T>& s : gradients) squared += SquaredNorm(s.gradient);
  return std::min(1.0, limit / (std::sqrt(squared) + 1e-6));
}

// Of one local step of `rank`, as its plan has it.
double PredictedSeconds(const RoundSettings& settings, int rank, int64_t memory_cap) {
  const PlanShare& share = settings.plan.shares[static_cast<size_t>(rank)];
  return StepSeconds({.alpha = share.alpha,
                      .beta = share.beta,
                      .micro_batch = std::min(share.micro_batch_cap, memory_cap)},
                     settings.local_batches[static_cast<size_t>(rank)]);
}

}  // namespace

template <typename T>
LocalRound<T>::LocalRound(Replica<T>& replica, GradientComputer<T>& gradients, const Dataset& train,
                          const StepZeroOptions& options, uint64_t seed, int64_t shard)
    : replica_(replica),
      gradients_(gradients),
      order_(seed, train.size()),
      first_position_(ShardBegin(shard)),
      prefetcher_(train),
      step_zero_(options, replica.size(), replica.flat().parameter_count()) {}

template <typename T>
Result<LocalRoundResult> LocalRound<T>::Run(const RoundSettings& settings,
                                            std::span<const PositionRange> positions,
                                            const LocalRoundOptions& options, Stopwatch& watch,
                                            ActivitySeconds& seconds) {
  const int64_t steps = settings.local_steps;
  prefetcher_.Clear();  // of a round that was given up
  int64_t enqueued = 0;
  const auto enqueue_up_to = [&](int64_t end) {
    for (; enqueued < std::min(end, steps); ++enqueued) {
      std::vector<int64_t> indices;
      for (const PositionRange& r :
           StepPositions(positions, steps, settings.local_batches, options.rank, enqueued)) {
        order_.AppendIndices({r.begin - first_position_, r.end - first_position_}, indices);
      }
      prefetcher_.Enqueue(std::move(indices));
    }
  };
  enqueue_up_to(1);
  DeviceOptimizer<T>* const device = replica_.on_device();
  if (device) {
    replica_.flat().ToDevice();
    device->ToDevice();
  }

  LocalRoundResult result;
  double first_step = 0;
  for (int64_t h = 0; h < steps; ++h) {
    enqueue_up_to(h + 3);  // while the first is being read
    options.begins({OwnWork::Kind::kLocalStep, steps - h,
                    PredictedSeconds(settings, options.rank, gradients_.memory_cap())});
    const Batch* batch = prefetcher_.Next();
    if (!batch && prefetcher_.out_of_memory()) {
      return ResourceError(
          Format("a local batch of %ld samples does not fit in memory: lower workers[].batch.max",
                 settings.local_batches[static_cast<size_t>(options.rank)]));
    }
    if (!batch) return BugError("the prefetcher ran dry within a round");
    watch.Lap(seconds.data);

    if (options.reseed) {
      SeedDropout(Hash64(options.seed, static_cast<uint64_t>(settings.number),
                         static_cast<uint64_t>(h), static_cast<uint64_t>(options.rank)));
    }
    const bool observe = h == 0 && options.observe;
    if (observe) step_zero_.Begin(settings.number);
    // Batch normalization cannot train on a single sample, so a small batch is left whole.
    const bool split = h == 0 && (batch->size >= 4 || replica_.flat().buffers().empty());
    LONGSTRIDE_ASSIGN_OR_RETURN(
        const double loss,
        gradients_.Compute(*batch, split ? options.parts : 1, observe ? &step_zero_ : nullptr));
    if (observe) step_zero_.Finish();
    if (device) {
      if (observe) replica_.flat().SetGradients(step_zero_.segments());
      device->Step(settings.learning_rates[h], options.gradient_clipping);
    } else {
      const std::span<const GradientSegment<T>> gradients =
          observe ? step_zero_.segments() : replica_.flat().Gradients();
      replica_.inner().Step(replica_.flat().parameters(), gradients, settings.learning_rates[h],
                            ClippingScale(gradients, options.gradient_clipping));
    }
    result.loss_sum += loss * static_cast<double>(batch->size);
    result.samples += batch->size;
    watch.Lap(seconds.compute);
    if (h == 0) first_step = seconds.compute;
  }
  replica_.flat().ClearGradients();
  if (device) {
    replica_.flat().ToHost();
    device->ToHost();
  }
  watch.Lap(seconds.compute);
  result.step_seconds =
      steps > 1 ? (seconds.compute - first_step) / static_cast<double>(steps - 1) : first_step;
  return result;
}

template class LocalRound<float>;
template class LocalRound<double>;

}  // namespace longstride
