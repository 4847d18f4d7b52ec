#include "runtime/training/synchronizer.h"

#include <algorithm>
#include <cmath>

#include "core/base/median.h"
#include "core/schedule/ordinary_workers.h"
#include "core/schedule/sums.h"
#include "runtime/collective/codec.h"
#include "runtime/collective/trimmed_mean.h"
#include "runtime/training/kernels.h"

namespace longstride {
namespace {

// All-reduce in bfloat16; double precision goes through fp32 first.
Status AllReduceRounded(std::span<float> data, Collective& collective) {
  return AllReduceSumBfloat16(collective, data, Purpose::kModel);
}
Status AllReduceRounded(std::span<double> data, Collective& collective) {
  std::vector<float> narrow(data.begin(), data.end());
  LONGSTRIDE_RETURN_IF_ERROR(AllReduceSumBfloat16(collective, narrow, Purpose::kModel));
  std::ranges::copy(narrow, data.begin());
  return {};
}

// Cuts an update to the median norm of those that count, so that no worker moves the mean further
// than the middle one would.
double ClippingFactor(const Exchange& exchange, int rank) {
  std::vector<double> norms;
  for (const RankSlot& slot : exchange.slots) {
    if (slot.samples > 0) norms.push_back(std::sqrt(slot.update_norm_squared));
  }
  const double own = std::sqrt(exchange.slots[rank].update_norm_squared);
  const double limit = Median(norms);
  return own > limit ? limit / own : 1;
}

}  // namespace

MeasurementPlan PlanMeasurements(const TrainingJobSpec& job, int workers) {
  const BatchSpec& batch = job.training.batch;
  MeasurementPlan plan;
  const bool adaptive = batch.policy == BatchPolicy::kAdaptive;
  plan.estimator = adaptive ? batch.norm_test.estimator : NoiseEstimator::kSketch;
  plan.between = workers > 1;
  plan.shards = plan.between && job.data.placement == DataPlacement::kLocal;
  plan.robust = plan.between && job.training.synchronization.aggregation != Aggregation::kMean;
  plan.within = adaptive || plan.shards;
  plan.inner_products = adaptive && batch.norm_test.test != BatchTest::kNorm;
  return plan;
}

int64_t SketchSize(const TrainingJobSpec& job, int workers) {
  const MeasurementPlan plan = PlanMeasurements(job, workers);
  const bool needed = plan.inner_products || plan.robust ||
                      (plan.between && plan.estimator == NoiseEstimator::kSketch);
  return needed ? job.training.batch.norm_test.sketch_size : 0;
}

template <typename T>
Synchronizer<T>::Synchronizer(Replica<T>& replica, const TrainingJobSpec& job, int workers,
                              int64_t shard_samples)
    : replica_(replica),
      training_(job.training),
      measure_(PlanMeasurements(job, workers)),
      shard_samples_(shard_samples),
      block_(workers, SketchSize(job, workers), measure_.robust,
             static_cast<int64_t>(replica.flat().ReadIntegers().size())) {
  const bool average_inner = training_.synchronization.inner_state == InnerStatePolicy::kAverage;
  const size_t size = replica.flat().parameters().size() + replica.flat().buffers().size() +
                      (average_inner ? replica.inner().state().size() : 0);
  if (workers > 1 || training_.synchronization.outer.kind != OuterOptimizerKind::kAverage) {
    message_ = AlignedBuffer<T>(static_cast<int64_t>(size));
  }
}

template <typename T>
Result<Exchange> Synchronizer<T>::Run(const RoundSettings& settings,
                                      const std::vector<Member>& members, RankSlot slot,
                                      StepZero<T>* step_zero, int first_holder,
                                      Collective& collective, Stopwatch& watch,
                                      ActivitySeconds& seconds) {
  const int rank = collective.rank(), ranks = collective.size();
  const size_t d = static_cast<size_t>(replica_.size());
  FlatState<T>& flat = replica_.flat();
  const bool observed = measure_.between || measure_.within;

  // Finite parameters mean a finite update; with several workers its norm is wanted as well.
  if (message_.size() > 0) {
    kernels::ScaledDifference(flat.parameters(), replica_.anchor(), 1, message_.span().first(d));
    slot.update_norm_squared = SquaredNorm(message_.span().first(d));
  } else {
    slot.update_norm_squared = SquaredNorm(flat.parameters());
  }
  slot.finite = std::isfinite(slot.update_norm_squared) && std::isfinite(slot.loss_sum) &&
                replica_.BuffersFinite() &&
                (training_.synchronization.inner_state != InnerStatePolicy::kAverage ||
                 std::isfinite(SquaredNorm(replica_.inner().state())));
  if (!slot.finite) slot.samples = 0, slot.loss_sum = 0, slot.update_norm_squared = 0;
  const auto weight = [&](double samples) {
    return samples > 0 && shard_samples_ > 0 ? static_cast<double>(shard_samples_) : samples;
  };
  slot.weight = weight(static_cast<double>(slot.samples));
  slot.gradient_weight = weight(slot.batch);

  block_.Clear();
  slot.statistics_finite = !observed || step_zero != nullptr;
  if (observed && step_zero) {
    const bool sketched = measure_.between && measure_.estimator == NoiseEstimator::kSketch;
    slot.within = step_zero->within();
    slot.gradient_norm_squared =
        sketched ? step_zero->sketch().SquaredNorm() : step_zero->norm_squared();
    slot.statistics_finite =
        std::isfinite(slot.gradient_norm_squared) && std::isfinite(slot.within.spread);
    if (const std::span<double> sketch = block_.sketch(rank);
        !sketch.empty() && slot.statistics_finite) {
      step_zero->sketch().WriteScaled(measure_.robust ? 1 : slot.gradient_weight, sketch);
    }
  }
  block_.SetSlot(rank, slot);
  if (rank == first_holder) {
    std::ranges::copy(flat.ReadIntegers(),
                      block_.integers().begin());  // counts below 2^53 are exact
  }
  watch.Lap(seconds.outer);
  if (ranks > 1) {
    LONGSTRIDE_RETURN_IF_ERROR(collective.AllReduceSum(block_.data(), Purpose::kStatistics));
    watch.Lap(seconds.communication);
  } else {
    LONGSTRIDE_RETURN_IF_ERROR(collective.Barrier());  // fails once it was aborted
  }

  Exchange exchange;
  for (int r = 0; r < ranks; ++r) {
    exchange.slots.push_back(block_.slot(r));
    exchange.samples += exchange.slots.back().samples;
    exchange.weight += exchange.slots.back().weight;
    exchange.ordinary.push_back(exchange.slots.back().statistics_finite);
  }
  if (measure_.robust) {
    std::vector<std::span<const double>> sketches;
    for (int r = 0; r < ranks; ++r) sketches.emplace_back(block_.sketch(r));
    exchange.ordinary = OrdinaryWorkers(sketches, exchange.ordinary);
  }
  // Only robust statistics can do without a worker.
  const auto taking_part = std::ranges::count(exchange.ordinary, true);
  exchange.statistics_finite = measure_.robust ? taking_part > 0 : taking_part == ranks;
  LONGSTRIDE_RETURN_IF_ERROR(CheckAgreement(exchange.slots, members));

  if (ranks > 1 && exchange.samples > 0) {
    LONGSTRIDE_RETURN_IF_ERROR(AverageUpdates(exchange, rank, collective, watch, seconds));
  }
  if (observed && exchange.statistics_finite) {
    measurements_.learning_rate_sum = 0;
    for (const double rate : settings.learning_rates) measurements_.learning_rate_sum += rate;
    LONGSTRIDE_RETURN_IF_ERROR(ExchangeGradients(exchange, step_zero, collective, watch, seconds));
  }
  Commit(exchange, settings, rank);
  watch.Lap(seconds.outer);
  return exchange;
}

template <typename T>
Status Synchronizer<T>::AverageUpdates(const Exchange& exchange, int rank, Collective& collective,
                                       Stopwatch& watch, ActivitySeconds& seconds) {
  const std::span<T> message = message_.span();
  const size_t d = static_cast<size_t>(replica_.size()), b = replica_.flat().buffers().size();
  const size_t inner = message.size() - d - b;
  const Aggregation aggregation = training_.synchronization.aggregation;
  const double weight = exchange.slots[rank].weight / exchange.weight;
  double update_weight = weight;
  if (aggregation == Aggregation::kClippedMean) update_weight *= ClippingFactor(exchange, rank);
  if (aggregation == Aggregation::kTrimmedMean) {
    if (inner > 0) std::ranges::copy(replica_.inner().state(), message.subspan(d).begin());
    std::ranges::copy(replica_.flat().buffers(), message.last(b).begin());
    watch.Lap(seconds.outer);
    std::vector<bool> contributes;
    for (const RankSlot& slot : exchange.slots) contributes.push_back(slot.samples > 0);
    LONGSTRIDE_RETURN_IF_ERROR(
        AllReduceTrimmedMean(collective, message, contributes, Purpose::kModel));
    watch.Lap(seconds.communication);
    return {};
  }
  if (weight == 0) {
    std::ranges::fill(message, T{0});
  } else {
    kernels::Scale(message.first(d), update_weight, message.first(d));
    if (inner > 0) kernels::Scale(replica_.inner().state(), weight, message.subspan(d, inner));
    kernels::Scale(replica_.flat().buffers(), weight, message.last(b));
  }
  watch.Lap(seconds.outer);
  if (training_.synchronization.message == MessageType::kBfloat16) {
    LONGSTRIDE_RETURN_IF_ERROR(AllReduceRounded(message.first(d + inner), collective));
    // Running statistics are few, and move by less than a bfloat16 can show.
    if (b > 0)
      LONGSTRIDE_RETURN_IF_ERROR(collective.AllReduceSum(message.last(b), Purpose::kBuffers));
  } else {
    LONGSTRIDE_RETURN_IF_ERROR(collective.AllReduceSum(message, Purpose::kModel));
  }
  watch.Lap(seconds.communication);
  return {};
}

template <typename T>
std::vector<double> Synchronizer<T>::SketchSum(const Exchange& exchange) {
  const std::span<const double> first = block_.sketch(0);
  std::vector<double> sum(first.begin(), first.end());
  if (!measure_.robust) return sum;
  std::ranges::fill(sum, 0.0);
  for (size_t r = 0; r < exchange.slots.size(); ++r) {
    if (!exchange.ordinary[r]) continue;
    const std::span<const double> sketch = block_.sketch(static_cast<int>(r));
    for (size_t k = 0; k < sum.size(); ++k) sum[k] += exchange.slots[r].gradient_weight * sketch[k];
  }
  return sum;
}

template <typename T>
Status Synchronizer<T>::ExchangeGradients(Exchange& exchange, StepZero<T>* step_zero,
                                          Collective& collective, Stopwatch& watch,
                                          ActivitySeconds& seconds) {
  const int rank = collective.rank(), ranks = collective.size();
  const size_t d = static_cast<size_t>(replica_.size());
  RoundMeasurements& m = measurements_;
  m.workers.clear();
  m.microbatches.clear();
  m.updates.clear();
  double weights = 0;
  for (int r = 0; r < ranks; ++r) {
    const RankSlot& slot = exchange.slots[r];
    const bool takes_part = exchange.ordinary[r];
    weights += takes_part ? slot.gradient_weight : 0;
    m.workers.push_back({.batch = takes_part ? slot.batch : 0,
                         .norm_squared = slot.gradient_norm_squared,
                         .weight = slot.gradient_weight});
    m.microbatches.push_back(takes_part ? slot.within : WorkerMicrobatches());
    m.updates.push_back({.samples = takes_part ? static_cast<double>(slot.samples) : 0,
                         .norm_squared = slot.update_norm_squared});
  }
  m.shards = measure_.shards;
  std::vector<double> mean_sketch = SketchSum(exchange);
  m.mean_norm_squared = kNotMeasured;
  m.mean_update_norm_squared = kNotMeasured;
  const bool exact = measure_.between && measure_.estimator == NoiseEstimator::kExact;
  if (measure_.between && measure_.estimator == NoiseEstimator::kSketch) {
    m.mean_norm_squared = MeanNormSquared(mean_sketch, weights);
  } else if (measure_.between && measure_.estimator == NoiseEstimator::kPseudoGradient) {
    m.mean_update_norm_squared = SquaredNorm(message_.span().first(d));
  }

  for (double& value : mean_sketch) value /= weights;
  double inner_product = 0, spread = 0;
  if (measure_.inner_products && step_zero) {
    inner_product = step_zero->sketch().InnerProduct(mean_sketch);
    spread = step_zero->InnerProductSpread(mean_sketch);
  }
  if (exact) {
    AlignedBuffer<T> mean(static_cast<int64_t>(d));
    if (exchange.ordinary[rank]) {  // so it has a step 0
      kernels::Scale(step_zero->gradient(), exchange.slots[rank].gradient_weight / weights,
                     mean.span());
    }
    watch.Lap(seconds.outer);
    LONGSTRIDE_RETURN_IF_ERROR(collective.AllReduceSum(mean.span(), Purpose::kStatistics));
    watch.Lap(seconds.communication);
    m.mean_norm_squared = SquaredNorm(mean.span());
    if (step_zero) inner_product = InnerProduct(step_zero->gradient(), mean.span());
  }
  if (measure_.inner_products) {
    // <g_m, gbar> is known only now that gbar is.
    std::vector<double> products(static_cast<size_t>(2 * ranks));
    products[static_cast<size_t>(2 * rank)] = inner_product;
    products[static_cast<size_t>(2 * rank + 1)] = spread;
    watch.Lap(seconds.outer);
    if (ranks > 1) {
      LONGSTRIDE_RETURN_IF_ERROR(
          collective.AllReduceSum(std::span<double>(products), Purpose::kStatistics));
      watch.Lap(seconds.communication);
    }
    for (int r = 0; r < ranks; ++r) {
      m.workers[r].inner_product = products[static_cast<size_t>(2 * r)];
      m.microbatches[r].inner_product_spread = products[static_cast<size_t>(2 * r + 1)];
    }
  }

  exchange.noise = EstimateNoise(measure_.estimator, m);
  if (measure_.between && measure_.within &&
      (exact || measure_.estimator == NoiseEstimator::kSketch)) {
    const NoiseStatistics within = EstimateWithinWorkers(m.microbatches);
    exchange.skew = Skew(EstimateBetweenWorkers(m.workers, m.mean_norm_squared), within);
    exchange.noise_within = within.variance;
  }
  return {};
}

template <typename T>
void Synchronizer<T>::Commit(const Exchange& exchange, const RoundSettings& settings, int rank) {
  FlatState<T>& flat = replica_.flat();
  InnerOptimizer<T>& inner = replica_.inner();
  const InnerStatePolicy policy = training_.synchronization.inner_state;
  const size_t d = static_cast<size_t>(replica_.size()), b = flat.buffers().size();
  const bool alone = exchange.slots.size() == 1;

  if (exchange.samples == 0) {  // nobody has anything to add: stay at w_k
    replica_.RestoreModel();
    inner.Reset();
    return;
  }
  if (message_.size() > 0) {
    double rate = 0;
    for (const double r : settings.learning_rates) rate += r;
    rate /= static_cast<double>(settings.local_steps);
    replica_.outer().Step(replica_.anchor(), message_.span().first(d), rate, flat.parameters());
  }
  if (!alone) {
    std::ranges::copy(message_.span().last(b), flat.buffers().begin());
    if (!flat.integer_places().empty()) {
      std::vector<int64_t> integers;
      for (const double value : block_.integers()) integers.push_back(static_cast<int64_t>(value));
      flat.WriteIntegers(integers);
    }
  }
  if (policy == InnerStatePolicy::kReset ||
      (policy == InnerStatePolicy::kKeep && !exchange.slots[rank].finite)) {
    inner.Reset();
  } else if (policy == InnerStatePolicy::kAverage && !alone) {
    std::ranges::copy(message_.span().subspan(d, inner.state().size()), inner.state().begin());
    int64_t steps = 0;
    for (const RankSlot& slot : exchange.slots) {
      if (slot.samples > 0) steps = std::max(steps, slot.inner_steps);
    }
    inner.set_steps(steps);
  }
}

template class Synchronizer<float>;
template class Synchronizer<double>;

}  // namespace longstride
