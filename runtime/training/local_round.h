// One worker's part of a round: H local steps from the anchor, on its own samples. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "core/schedule/sample_order.h"
#include "runtime/data/dataset.h"
#include "runtime/data/prefetcher.h"
#include "runtime/training/control_channel.h"
#include "runtime/training/gradient.h"
#include "runtime/training/replica.h"
#include "runtime/training/step_zero.h"
#include "runtime/training/stopwatch.h"
#include "runtime/training/training_state.h"

namespace longstride {

struct LocalRoundOptions {
  int rank = 0;
  int64_t parts = 1;     // micro-batches that step 0 is split into at least
  bool observe = false;  // measure step 0's gradient
  bool reseed = false;   // the model draws random numbers
  uint64_t seed = 0;
  double gradient_clipping = 0;
  std::function<void(const OwnWork&)> begins = [](const OwnWork&) {};  // before each local step
};

struct LocalRoundResult {
  double loss_sum = 0;      // over the samples
  int64_t samples = 0;      // n_m
  double step_seconds = 0;  // mean of the steps after step 0 (of step 0 if H = 1)
};

template <typename T>
class LocalRound {
 public:
  // `seed` orders the samples of `train`, which is `shard`.
  LocalRound(Replica<T>& replica, GradientComputer<T>& gradients, const Dataset& train,
             const StepZeroOptions& options, uint64_t seed, int64_t shard = 0);

  // Takes the local steps of `settings`; `positions` are the round's, over all ranks. The caller
  // has called replica.BeginRound. On an error the replica is somewhere in the round: restore it.
  Result<LocalRoundResult> Run(const RoundSettings& settings,
                               std::span<const PositionRange> positions,
                               const LocalRoundOptions& options, Stopwatch& watch,
                               ActivitySeconds& seconds);

  [[nodiscard]] StepZero<T>& step_zero() { return step_zero_; }

 private:
  Replica<T>& replica_;
  GradientComputer<T>& gradients_;
  SampleOrder order_;
  int64_t first_position_;
  data::Prefetcher prefetcher_;
  StepZero<T> step_zero_;
};

extern template class LocalRound<float>;
extern template class LocalRound<double>;

}  // namespace longstride
