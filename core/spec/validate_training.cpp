// What is said of training: aggregation, length, learning rate, local steps, batch, norm test.
#include <algorithm>
#include <functional>

#include "core/base/format.h"
#include "core/spec/fields.h"
#include "core/spec/places.h"
#include "core/spec/validator.h"

namespace longstride {

void Validator::CheckAggregation() {
  const SynchronizationSpec& s = spec_.training.synchronization;
  if (s.aggregation != Aggregation::kTrimmedMean) return;
  const std::string at = "spec.training.synchronization.aggregation";
  Require(spec_.replicas >= 4, at, {"spec.replicas"},
          Format("trimmedMean leaves out the extremes, which of %ld workers leaves too few",
                 spec_.replicas),
          "use clippedMean, or at least 4 replicas");
  Require(s.message == MessageType::kFloat32, at, {"spec.training.synchronization.message"},
          "trimmedMean works on float32 messages", "use message: float32, or clippedMean");
}

void Validator::CheckDuration() {
  const TrainingSpec& training = spec_.training;
  Require(training.max_samples > 0 || training.max_epochs > 0, "spec.training",
          {"spec.training.maxSamples", "spec.training.maxEpochs"},
          "the job would never end: neither maxSamples nor maxEpochs is set",
          "for example maxEpochs: 6");
}

void Validator::CheckLearningRate() {
  const TrainingSpec& training = spec_.training;
  const LearningRateSpec& rate = training.learning_rate;
  const std::string at = "spec.training.learningRate";
  const Paths uses = {"spec.training.maxSamples", "spec.training.learningRate.schedule",
                      "spec.training.learningRate.decaySamples"};
  Require(!training.optimizer.nesterov || training.optimizer.momentum > 0,
          "spec.training.optimizer.nesterov",
          {"spec.training.optimizer.momentum", "spec.training.optimizer.name"},
          "nesterov needs momentum", "for example momentum: 0.9");
  const bool decays =
      rate.schedule == ScheduleKind::kCosine || rate.schedule == ScheduleKind::kLinear;
  const int64_t horizon = rate.decay_samples > 0 ? rate.decay_samples : training.max_samples;
  Require(!decays || horizon > 0, at + ".schedule", uses,
          "a " + EnumName(job_, at + ".schedule") + " schedule needs a length in samples",
          "set decaySamples, or spec.training.maxSamples");
  const int64_t end = decays ? horizon : training.max_samples;
  Require(end == 0 || rate.warmup_samples < end, at + ".warmupSamples", uses,
          Format("warm-up over %ld samples does not end before the %s's %ld", rate.warmup_samples,
                 decays ? "schedule" : "job", end));
  Require(std::adjacent_find(rate.step_samples.begin(), rate.step_samples.end(),
                             std::greater_equal<>()) == rate.step_samples.end(),
          at + ".stepSamples", {}, "must be ascending");
  Require(
      rate.coupling == CouplingKind::kNone || spec_.training.batch.policy == BatchPolicy::kAdaptive,
      at + ".coupling", {"spec.training.batch.policy"},
      "has no effect: a batch of policy fixed never changes",
      "use coupling: none, or policy: adaptive");
}

void Validator::CheckLocalSteps() {
  const LocalStepsSpec& local = spec_.training.local_steps;
  if (local.policy != LocalStepsPolicy::kQsr) return;
  Require(local.steps <= local.max_steps, "spec.training.localSteps.steps",
          {"spec.training.localSteps.maxSteps", "spec.training.localSteps.policy"},
          Format("steps %ld is more than maxSteps %ld", local.steps, local.max_steps));
}

void Validator::CheckBatch() {
  const std::string at = "spec.training.batch.initial";
  const int64_t initial = spec_.training.batch.initial;
  const int64_t limit = spec_.limits.max_global_batch;
  Require(initial <= limit, at, {"spec.limits.maxGlobalBatch"},
          Format("%ld is more than spec.limits.maxGlobalBatch %ld", initial, limit));
  Require(initial >= spec_.replicas, at, {"spec.replicas"},
          Format("%ld samples cannot be split over %ld workers", initial, spec_.replicas),
          "each worker needs at least one");
  if (started_) return;
  double least = 0, most = 0;  // bounds go up to 2^53
  for (const WorkerPlace& place : DealReplicas(spec_)) {
    const auto group = std::ranges::find(spec_.workers, place.group, &WorkerGroup::name);
    least += static_cast<double>(group->batch.min);
    most += static_cast<double>(group->batch.max);
  }
  const Paths uses = {"spec.replicas", "spec.workers"};
  Require(static_cast<double>(initial) >= least, at, uses,
          Format("%ld is less than the %.0f that %ld workers need, each at least its group's "
                 "batch.min",
                 initial, least, spec_.replicas),
          "raise it or lower batch.min");
  Require(static_cast<double>(initial) <= most, at, uses,
          Format("%ld is more than the %.0f that %ld workers may take, each at most its group's "
                 "batch.max",
                 initial, most, spec_.replicas),
          "lower it or raise batch.max");
}

void Validator::CheckNormTest() {
  const BatchSpec& batch = spec_.training.batch;
  if (batch.policy == BatchPolicy::kFixed) return;
  const std::string at = "spec.training.batch.normTest", estimator = at + ".estimator";
  Require(batch.norm_test.test == BatchTest::kNorm ||
              batch.norm_test.estimator != NoiseEstimator::kPseudoGradient,
          estimator, {"spec.training.batch.policy", "spec.training.batch.normTest.test"},
          EnumName(job_, estimator) + " measures no inner products, which test " +
              EnumName(job_, at + ".test") + " needs",
          "use sketch, exact or microbatch, or test: norm");

  // Where noise within workers is all that is measured, step 0 must be able to split some worker's
  // batch (runtime/training/local_round.cpp).
  const bool within = batch.norm_test.estimator == NoiseEstimator::kMicrobatch ||
                      spec_.data.placement == DataPlacement::kLocal || spec_.replicas == 1;
  const int64_t whole = spec_.model.kind == ModelKind::kResnet ? 3 : 1;  // the largest not split
  Require(!within || batch.initial > whole * spec_.replicas, "spec.training.batch.initial",
          {"spec.training.batch.policy", estimator, "spec.data.placement", "spec.replicas",
           "spec.model.name"},
          Format("%ld samples on %ld workers are too few to measure noise within workers, so that "
                 "the batch would never grow",
                 batch.initial, spec_.replicas),
          Format("at least %ld, or policy: fixed", whole * spec_.replicas + 1));
}

}  // namespace longstride
