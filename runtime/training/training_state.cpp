#include "runtime/training/training_state.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/base/format.h"
#include "core/base/random.h"
#include "core/schedule/allocation.h"
#include "core/schedule/learning_rate.h"
#include "core/schedule/local_steps.h"
#include "core/schedule/sample_order.h"

namespace longstride {
namespace {

// Doubles travel as their 64 bits: exact, and able to say infinity and not-a-number, which JSON is
// not.
int64_t Bits(double x) {
  return std::bit_cast<int64_t>(x);
}
double Real(const nlohmann::json& bits) {
  return std::bit_cast<double>(bits.get<int64_t>());
}

std::vector<WorkerCost> Costs(const Plan& plan) {
  std::vector<WorkerCost> costs;
  for (const PlanShare& s : plan.shares) {
    costs.push_back(
        {s.alpha, s.beta, std::max<int64_t>(1, s.micro_batch_cap), s.min_batch, s.max_batch});
  }
  return costs;
}

bool Profiled(const Plan& plan) {
  return std::ranges::all_of(plan.shares, [](const PlanShare& s) { return s.alpha + s.beta > 0; });
}

nlohmann::json RangesToJson(const std::vector<PositionRange>& ranges) {
  nlohmann::json json = nlohmann::json::array();
  for (const PositionRange& r : ranges) json.push_back({r.begin, r.end});
  return json;
}

std::vector<PositionRange> RangesFromJson(const nlohmann::json& json) {
  std::vector<PositionRange> ranges;
  for (const auto& r : json) ranges.push_back({r.at(0).get<int64_t>(), r.at(1).get<int64_t>()});
  return ranges;
}

nlohmann::json PairsToJson(const std::map<int64_t, int64_t>& map) {
  nlohmann::json json = nlohmann::json::array();
  for (const auto& [key, value] : map) json.push_back({key, value});
  return json;
}

std::map<int64_t, int64_t> PairsFromJson(const nlohmann::json& json) {
  std::map<int64_t, int64_t> map;
  for (const auto& pair : json) map[pair.at(0).get<int64_t>()] = pair.at(1).get<int64_t>();
  return map;
}

nlohmann::json PlanToJson(const Plan& plan) {
  nlohmann::json shares = nlohmann::json::array();
  for (const PlanShare& s : plan.shares) {
    shares.push_back({{"alpha", s.alpha},
                      {"beta", s.beta},
                      {"microBatchCap", s.micro_batch_cap},
                      {"minBatch", s.min_batch},
                      {"maxBatch", s.max_batch}});
  }
  return {{"version", plan.version},
          {"firstRound", plan.first_round},
          {"syncSeconds", plan.sync_seconds},
          {"shares", std::move(shares)}};
}

Plan PlanFromJson(const nlohmann::json& json) {
  Plan plan;
  plan.version = json.at("version").get<int64_t>();
  plan.first_round = json.at("firstRound").get<int64_t>();
  plan.sync_seconds = json.at("syncSeconds").get<double>();
  for (const auto& s : json.at("shares")) {
    plan.shares.push_back({s.at("alpha").get<double>(), s.at("beta").get<double>(),
                           s.at("microBatchCap").get<int64_t>(), s.at("minBatch").get<int64_t>(),
                           s.at("maxBatch").get<int64_t>()});
  }
  return plan;
}

}  // namespace

uint64_t SampleOrderSeed(const TrainingJobSpec& job, int64_t shard) {
  const uint64_t seed = Hash64(static_cast<uint64_t>(job.seed), 1);
  return shard == 0 ? seed : Hash64(seed, static_cast<uint64_t>(shard));
}

int64_t SampleLimit(const TrainingSpec& spec, int64_t dataset_size) {
  int64_t limit = INT64_MAX;
  if (spec.max_samples > 0) limit = spec.max_samples;
  if (spec.max_epochs > 0) {
    limit = std::min(limit, static_cast<int64_t>(
                                std::ceil(spec.max_epochs * static_cast<double>(dataset_size))));
  }
  return limit;
}

int64_t SamplesDone(const Ledger& ledger) {
  return ledger.cursor() - ledger.holes().size();
}

int64_t EvaluationMarks(const EvaluationSpec& spec, int64_t dataset_size, int64_t cursor) {
  return cursor / (spec.every_samples > 0 ? spec.every_samples : dataset_size);
}

const Plan* GoverningPlan(const std::vector<Plan>& plans, int64_t number, int64_t agreed) {
  const Plan* best = nullptr;
  for (const Plan& plan : plans) {
    if (plan.version > agreed || plan.first_round > number) continue;
    if (!best ||
        std::pair(plan.first_round, plan.version) > std::pair(best->first_round, best->version)) {
      best = &plan;
    }
  }
  return best;
}

GlobalBatchLimits LimitsOf(const Plan& plan, const LimitsSpec& limits) {
  GlobalBatchLimits out{0, 0};
  for (const PlanShare& s : plan.shares) {
    out.min += s.min_batch;
    out.max += s.max_batch;
  }
  out.min = std::max<int64_t>(1, out.min);
  out.max = std::max(out.min, std::min(out.max, limits.max_global_batch));
  return out;
}

Result<RoundSettings> PlanRound(const TrainingJobSpec& job, int64_t dataset_size,
                                const TrainingState& state, const Plan& plan,
                                const std::vector<bool>& idle) {
  const TrainingSpec& training = job.training;
  Plan working = plan;
  for (size_t r = 0; r < idle.size(); ++r) {
    if (idle[r]) working.shares[r].min_batch = working.shares[r].max_batch = 0;
  }
  RoundSettings settings;
  settings.number = state.round + 1;
  settings.plan = plan;
  settings.limits = LimitsOf(working, job.limits);
  settings.global_batch = std::clamp(WantedBatch(training.batch, state.growth), settings.limits.min,
                                     settings.limits.max);

  const std::vector<WorkerCost> costs = Costs(working);
  LONGSTRIDE_ASSIGN_OR_RETURN(settings.local_batches,
                              Profiled(plan) ? AllocateBatch(costs, settings.global_batch)
                                             : SplitEqually(costs, settings.global_batch));

  const int64_t batch = settings.global_batch, initial = training.batch.initial;
  const int64_t limit = SampleLimit(training, dataset_size);
  const int64_t schedule_end = limit == INT64_MAX ? 0 : limit;
  const LearningRateSpec& rate = training.learning_rate;
  // AdaScale's, 1 before the first observation.
  const NoiseAverages& noise = state.growth.average;
  const double gain = AdaScaleGain(noise.variance, noise.corrected_norm_squared, batch, initial);
  const double factor = CouplingFactor(rate.coupling, batch, initial, gain);
  settings.progress_per_step = ProgressOfStep(rate.coupling, batch, initial, gain);

  settings.local_steps =
      LocalSteps(training.local_steps,
                 {.samples = state.ledger.cursor(),
                  .learning_rate = factor * RateAfterWarmup(rate, schedule_end, state.progress),
                  .step_seconds = Profiled(plan) ? Makespan(costs, settings.local_batches) : 0,
                  .sync_seconds = plan.sync_seconds,
                  .skew_limit = SkewLimit(training.local_steps, state.skew)});
  if (limit != INT64_MAX) {
    const int64_t left = std::max<int64_t>(1, limit - SamplesDone(state.ledger));
    settings.local_steps = std::min(settings.local_steps, (left + batch - 1) / batch);
  }

  for (int64_t h = 0; h < settings.local_steps; ++h) {
    const double position = state.progress + static_cast<double>(h) * settings.progress_per_step;
    settings.learning_rates.push_back(
        factor * ScheduledRate(rate, schedule_end, {position, settings.progress_per_step}));
  }
  return settings;
}

double ProgressAfter(CouplingKind coupling, const TrainingState& state,
                     const RoundSettings& settings, int64_t lost) {
  if (coupling != CouplingKind::kAdascale) return static_cast<double>(SamplesDone(state.ledger));
  const int64_t size = settings.local_steps * settings.global_batch;
  const double share = static_cast<double>(size - lost) / static_cast<double>(size);
  return state.progress +
         static_cast<double>(settings.local_steps) * settings.progress_per_step * share;
}

std::vector<PositionRange> PositionsOf(const RoundSettings& settings, const Ledger& ledger,
                                       const std::vector<int64_t>& shards) {
  if (shards.empty()) {
    return ledger.Next(RoundSize(settings.local_steps, settings.local_batches));
  }
  std::vector<PositionRange> positions;
  for (size_t r = 0; r < shards.size(); ++r) {
    const std::vector<PositionRange> own =
        ledger.Next(settings.local_steps * settings.local_batches[r], shards[r]);
    positions.insert(positions.end(), own.begin(), own.end());
  }
  return positions;
}

uint64_t ScheduleDigest(const TrainingState& state) {
  const auto bits = [](double x) { return std::bit_cast<uint64_t>(x); };
  return Hash64(static_cast<uint64_t>(state.round), static_cast<uint64_t>(state.ledger.cursor()),
                static_cast<uint64_t>(state.ledger.discarded().size()),
                static_cast<uint64_t>(state.growth.batch), bits(state.growth.average.variance),
                bits(state.growth.average.gradient_norm_squared),
                bits(state.growth.average.corrected_norm_squared), bits(state.progress),
                bits(state.skew.skew), bits(state.skew.noise));
}

nlohmann::json ToJson(const TrainingState& state) {
  nlohmann::json plans = nlohmann::json::array();
  if (state.plan) plans.push_back(PlanToJson(*state.plan));
  const NoiseAverages& average = state.growth.average;
  return {{"round", state.round},
          {"generation", {state.generation.term, state.generation.counter}},
          {"cursors", PairsToJson(state.ledger.cursors())},
          {"discarded", RangesToJson(state.ledger.discarded().ranges())},
          {"holes", RangesToJson(state.ledger.holes().ranges())},
          {"globalBatch", state.growth.batch},
          {"observedRounds", state.growth.observed},
          {"skippedRounds", state.growth.skipped},
          {"averageBits",
           {Bits(average.variance), Bits(average.gradient_norm_squared),
            Bits(average.corrected_norm_squared), Bits(average.inner_product_variance)}},
          {"skewRounds", state.skew.observed},
          {"skewBits", {Bits(state.skew.skew), Bits(state.skew.noise)}},
          {"shardSamples", PairsToJson(state.shard_samples)},
          {"progressBits", Bits(state.progress)},
          {"evaluations", state.evaluations},
          {"targetReached", state.target_reached},
          {"plans", std::move(plans)}};
}

nlohmann::json ToJson(const RoundSettings& settings, const std::vector<PositionRange>& positions) {
  std::vector<int64_t> rates;
  for (const double rate : settings.learning_rates) rates.push_back(Bits(rate));
  return {{"number", settings.number},
          {"plan", PlanToJson(settings.plan)},
          {"limits", {settings.limits.min, settings.limits.max}},
          {"globalBatch", settings.global_batch},
          {"localBatches", settings.local_batches},
          {"localSteps", settings.local_steps},
          {"learningRateBits", rates},
          {"progressPerStepBits", Bits(settings.progress_per_step)},
          {"positions", RangesToJson(positions)}};
}

Result<std::tuple<RoundSettings, std::vector<PositionRange>>> RoundFromJson(
    const nlohmann::json& json) {
  try {
    RoundSettings settings;
    settings.number = json.at("number").get<int64_t>();
    settings.plan = PlanFromJson(json.at("plan"));
    settings.limits = {json.at("limits").at(0).get<int64_t>(),
                       json.at("limits").at(1).get<int64_t>()};
    settings.global_batch = json.at("globalBatch").get<int64_t>();
    settings.local_batches = json.at("localBatches").get<std::vector<int64_t>>();
    settings.local_steps = json.at("localSteps").get<int64_t>();
    for (const auto& bits : json.at("learningRateBits"))
      settings.learning_rates.push_back(Real(bits));
    settings.progress_per_step = Real(json.at("progressPerStepBits"));
    return std::tuple(std::move(settings), RangesFromJson(json.at("positions")));
  } catch (const nlohmann::json::exception& e) {
    return BugError(Format("a peer's pending round is damaged: %s", e.what()));
  }
}

Result<TrainingState> TrainingStateFromJson(const nlohmann::json& json) {
  try {
    TrainingState state;
    state.round = json.at("round").get<int64_t>();
    state.generation = {json.at("generation").at(0).get<int64_t>(),
                        json.at("generation").at(1).get<int64_t>()};
    LONGSTRIDE_ASSIGN_OR_RETURN(state.ledger, Ledger::Restore(PairsFromJson(json.at("cursors")),
                                                              RangesFromJson(json.at("discarded")),
                                                              RangesFromJson(json.at("holes"))));
    state.growth.batch = json.at("globalBatch").get<int64_t>();
    state.growth.observed = json.at("observedRounds").get<int64_t>();
    state.growth.skipped = json.at("skippedRounds").get<int64_t>();
    const nlohmann::json& average = json.at("averageBits");
    state.growth.average = {Real(average.at(0)), Real(average.at(1)), Real(average.at(2)),
                            Real(average.at(3))};
    state.skew.observed = json.at("skewRounds").get<int64_t>();
    state.skew.skew = Real(json.at("skewBits").at(0));
    state.skew.noise = Real(json.at("skewBits").at(1));
    state.shard_samples = PairsFromJson(json.at("shardSamples"));
    state.progress = Real(json.at("progressBits"));
    state.evaluations = json.at("evaluations").get<int64_t>();
    state.target_reached = json.at("targetReached").get<bool>();
    // Older checkpoints have all plans of the run, in their order.
    for (const auto& plan : json.at("plans")) state.plan = PlanFromJson(plan);
    return state;
  } catch (const nlohmann::json::exception& e) {
    return DataError(Format("the checkpoint's training state is damaged: %s", e.what()));
  }
}

}  // namespace longstride
