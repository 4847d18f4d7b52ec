// What a committed round leaves: the state that the next one begins from, and the round's report.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/format.h"
#include "core/protocol/superseded_plans.h"
#include "runtime/training/round_engine.h"
#include "runtime/training/shard_agreement.h"

namespace longstride {
namespace {

// Reports are JSON, which has neither infinity nor not-a-number.
double Reportable(double x) {
  if (std::isnan(x)) return 0;
  return std::clamp(x, std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max());
}

}  // namespace

template <typename T>
Status RoundEngine<T>::Advance(Context& context, const RoundWork& work, const Exchange& exchange,
                               RoundReport& report) {
  const TrainingJobSpec& job = options_.job.spec;
  const BatchSpec& batch = job.training.batch;
  const RoundSettings& settings = work.settings;
  const int rank = context.options.rank;
  const Ledger before = state_.ledger;
  RoundPositions outcome = Outcomes(work, exchange.slots);
  LONGSTRIDE_RETURN_IF_ERROR(state_.ledger.Record(outcome));
  report.committed = std::move(outcome.committed);
  report.discarded = std::move(outcome.discarded);
  report.lost = std::move(outcome.lost);
  report.holes = state_.ledger.holes().ranges();
  report.cursor_begin = before.cursor();
  if (!shards_.empty()) report.shards = AdvanceOf(before.cursors(), state_.ledger.cursors());

  int64_t agreed = INT64_MAX;
  for (const RankSlot& slot : exchange.slots) agreed = std::min(agreed, slot.newest_plan);
  context.agreed = std::max(context.agreed, agreed);
  DropSuperseded(context.plans, settings.plan.version);
  if (!state_.plan || state_.plan->version != settings.plan.version) {
    state_.plan = settings.plan;
    state_.plan->first_round = settings.number;
  }
  state_.round = settings.number;
  state_.generation = context.generation.id;
  state_.progress =
      ProgressAfter(job.training.learning_rate.coupling, state_, settings, TotalSize(report.lost));
  wasted_rounds_ = exchange.samples == 0 ? wasted_rounds_ + 1 : 0;
  strikes_ = exchange.slots[rank].finite || exchange.samples == 0 ? 0 : strikes_ + 1;

  // B of the next round, within what its plan allows.
  const Plan* next_plan = GoverningPlan(context.plans, state_.round + 1, context.agreed);
  const GlobalBatchLimits limits = LimitsOf(next_plan ? *next_plan : settings.plan, job.limits);
  state_.growth.batch = settings.global_batch;
  double ratio = 0;
  bool skipped = false;  // the norm test, which only an adaptive batch has
  if (context.options.observe) {
    const GrowthStep step = longstride::Advance(batch, state_.growth, exchange.noise, limits);
    state_.growth = step.next;
    ratio = step.outcome.ratio;
    skipped = step.skipped && batch.policy == BatchPolicy::kAdaptive;
  } else {  // so B is fixed
    state_.growth.batch = InitialGrowth(batch, limits).batch;
  }
  if (!shards_.empty()) state_.skew = Observe(state_.skew, exchange.skew, exchange.noise_within);
  model_digest_ = replica_.ModelDigest();

  report.generation = context.generation.id;
  report.round = state_.round;
  report.plan_version = settings.plan.version;
  report.cursor_end = state_.ledger.cursor();
  report.samples = exchange.samples;
  report.total_samples = state_.ledger.committed().size();
  report.local_steps = settings.local_steps;
  report.global_batch = settings.global_batch;
  report.next_global_batch = state_.growth.batch;
  report.learning_rate = settings.learning_rates.back();
  for (const RankSlot& slot : exchange.slots) report.loss += slot.loss_sum;
  report.loss /= static_cast<double>(std::max<int64_t>(1, exchange.samples));
  report.noise_variance = Reportable(exchange.noise.variance);
  report.gradient_norm_squared = Reportable(exchange.noise.gradient_norm_squared);
  report.norm_test_ratio = Reportable(ratio);
  report.noise_scale = Reportable(NoiseScale(exchange.noise));
  report.skew = Reportable(exchange.skew);
  report.skew_limit = SkewLimit(job.training.local_steps, state_.skew);
  report.statistics_finite = exchange.statistics_finite && !skipped;
  if (whole_) report.digest = Format("%016lx", model_digest_);
  report.rank = rank;
  report.delta_finite = exchange.slots[rank].finite;
  return {};
}

#define LONGSTRIDE_INSTANTIATE(T)                                                      \
  template Status RoundEngine<T>::Advance(Context&, const RoundWork&, const Exchange&, \
                                          RoundReport&);
LONGSTRIDE_INSTANTIATE(float)
LONGSTRIDE_INSTANTIATE(double)
#undef LONGSTRIDE_INSTANTIATE

}  // namespace longstride
