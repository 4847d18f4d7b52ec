// spec.training of the field table.
#include "core/spec/field_builders.h"

namespace longstride {
namespace {

using namespace field_builders;  // NOLINT: a table is unreadable with every name qualified

void AddOptimizer(std::vector<Field>& f) {
  const std::string o = "spec.training.optimizer", name = o + ".name";
  f.push_back(Object(o, "The inner optimizer, which takes the local steps."));
  f.push_back(Enum(name, LONGSTRIDE_ENUM_AT(training.optimizer.kind),
                   {"sgd", "adagrad", "adam", "adamw"}, "Which optimizer."));
  f.push_back(Number(o + ".momentum", LONGSTRIDE_AT(training.optimizer.momentum), FromToBelow(0, 1),
                     "", "Momentum; 0 = none.")
                  .When(name, {"sgd"}));
  f.push_back(Boolean(o + ".nesterov", LONGSTRIDE_AT(training.optimizer.nesterov),
                      "Nesterov's form of momentum.")
                  .When(name, {"sgd"}));
  f.push_back(Number(o + ".beta1", LONGSTRIDE_AT(training.optimizer.beta1), FromToBelow(0, 1), "",
                     "Decay of the mean of gradients.")
                  .When(name, {"adam", "adamw"}));
  f.push_back(Number(o + ".beta2", LONGSTRIDE_AT(training.optimizer.beta2), FromToBelow(0, 1), "",
                     "Decay of the mean of squared gradients.")
                  .When(name, {"adam", "adamw"}));
  f.push_back(Number(o + ".epsilon", LONGSTRIDE_AT(training.optimizer.epsilon), Above(0, 1), "",
                     "Added to the denominator.")
                  .When(name, {"adagrad", "adam", "adamw"}));
  f.push_back(Number(o + ".weightDecay", LONGSTRIDE_AT(training.optimizer.weight_decay),
                     From(0, 100), "",
                     "sgd, adagrad, adam: L2 term added to the gradient; adamw: decoupled."));
}

void AddLearningRate(std::vector<Field>& f) {
  const std::string l = "spec.training.learningRate", schedule = l + ".schedule";
  f.push_back(Object(l, "Learning rate of the local steps, scheduled in samples."));
  f.push_back(Number(l + ".value", LONGSTRIDE_AT(training.learning_rate.value), Above(0, 1000), "",
                     "Peak learning rate.")
                  .DefaultWhen("spec.training.optimizer.name", {"adam", "adamw"}, 0.001));
  f.push_back(Enum(schedule, LONGSTRIDE_ENUM_AT(training.learning_rate.schedule),
                   {"constant", "cosine", "linear", "step"}, "How it falls after warm-up."));
  f.push_back(Integer(l + ".warmupSamples", LONGSTRIDE_AT(training.learning_rate.warmup_samples),
                      From(0), "samples", "Linear rise from 0 over this many samples."));
  f.push_back(Integer(l + ".decaySamples", LONGSTRIDE_AT(training.learning_rate.decay_samples),
                      From(0), "samples",
                      "Length of the schedule, warm-up included; 0 = training.maxSamples.")
                  .When(schedule, {"cosine", "linear"}));
  f.push_back(Number(l + ".finalFraction", LONGSTRIDE_AT(training.learning_rate.final_fraction),
                     From(0, 1), "", "Where the schedule ends, as a fraction of value.")
                  .When(schedule, {"cosine", "linear"}));
  f.push_back(IntegerList(l + ".stepSamples", LONGSTRIDE_AT(training.learning_rate.step_samples),
                          From(1), "samples",
                          "Multiply by stepFactor once this many samples are done; ascending.")
                  .When(schedule, {"step"})
                  .Items(1, 100)
                  .Required()
                  .Example("[2000000, 3000000]"));
  f.push_back(Number(l + ".stepFactor", LONGSTRIDE_AT(training.learning_rate.step_factor),
                     Above(0, 1), "", "Factor of each step.")
                  .When(schedule, {"step"}));
  f.push_back(
      Enum(l + ".coupling", LONGSTRIDE_ENUM_AT(training.learning_rate.coupling),
           {"none", "linear", "sqrt", "adascale"},
           "What a grown batch does to the learning rate; adascale is by gain [Johnson 2020]."));
}

void AddLocalSteps(std::vector<Field>& f) {
  const std::string l = "spec.training.localSteps", policy = l + ".policy";
  f.push_back(Object(l, "H: local steps that each worker takes between two synchronizations."));
  f.push_back(
      Enum(policy, LONGSTRIDE_ENUM_AT(training.local_steps.policy),
           {"constant", "postLocal", "qsr", "auto"},
           "constant: always steps; postLocal: 1 first [Lin 2020]; qsr: by the learning rate "
           "[Gu 2024]; auto: as the measured link demands, less where local data differ."));
  f.push_back(Integer(l + ".steps", LONGSTRIDE_AT(training.local_steps.steps), From(1, 65536),
                      "local steps",
                      "H of constant; H after the switch of postLocal; smallest H of qsr.")
                  .When(policy, {"constant", "postLocal", "qsr"}));
  f.push_back(Integer(l + ".maxSteps", LONGSTRIDE_AT(training.local_steps.max_steps),
                      From(1, 65536), "local steps", "Largest H.")
                  .When(policy, {"qsr", "auto"}));
  f.push_back(Integer(l + ".switchSamples", LONGSTRIDE_AT(training.local_steps.switch_samples),
                      From(1), "samples", "H is 1 for this many samples, then steps.")
                  .When(policy, {"postLocal"})
                  .Required()
                  .Example("120000"));
  f.push_back(Number(l + ".qsrCoefficient", LONGSTRIDE_AT(training.local_steps.qsr_coefficient),
                     Above(0, 1000), "", "The alpha of H = (alpha / learning rate)^2 [Gu 2024].")
                  .When(policy, {"qsr"}));
  f.push_back(Number(l + ".communicationShare",
                     LONGSTRIDE_AT(training.local_steps.communication_share), Between(0, 1),
                     "fraction of a round",
                     "The smallest H at which synchronizing takes at most this share is chosen.")
                  .When(policy, {"auto"}));
  f.push_back(Number(l + ".skewTolerance", LONGSTRIDE_AT(training.local_steps.skew_tolerance),
                     Above(0, 1e9), "",
                     "With data.placement local, H stays so small that unlike data pull workers "
                     "apart at most this many times as far as noise does.")
                  .When(policy, {"auto"}));
}

void AddBatch(std::vector<Field>& f) {
  const std::string b = "spec.training.batch", n = b + ".normTest";
  const std::string test = n + ".test", estimator = n + ".estimator";
  f.push_back(Object(b, "The global batch, which is split over the workers by their speed."));
  f.push_back(Enum(b + ".policy", LONGSTRIDE_ENUM_AT(training.batch.policy), {"fixed", "adaptive"},
                   "fixed: always initial; adaptive: grows by the norm test."));
  f.push_back(Integer(b + ".initial", LONGSTRIDE_AT(training.batch.initial), From(1, 1e9),
                      "samples per local step", "Batch of all workers together, at the start."));
  f.push_back(Object(n, "When and how far the batch grows.").When(b + ".policy", {"adaptive"}));
  f.push_back(
      Enum(test, LONGSTRIDE_ENUM_AT(training.batch.norm_test.test),
           {"norm", "innerProduct", "augmentedInnerProduct"},
           "norm [Byrd 2012]; innerProduct and augmentedInnerProduct [Bollapragada 2018]."));
  f.push_back(Enum(n + ".scope", LONGSTRIDE_ENUM_AT(training.batch.norm_test.scope),
                   {"local", "global"},
                   "Test each worker's batch [Lau 2024], or the batch of all together."));
  f.push_back(
      Enum(estimator, LONGSTRIDE_ENUM_AT(training.batch.norm_test.estimator),
           {"exact", "sketch", "microbatch", "pseudoGradient"},
           "How gradient noise is measured: exact sends a whole gradient a round, sketch 8 KiB."));
  f.push_back(Number(n + ".eta", LONGSTRIDE_AT(training.batch.norm_test.eta), Above(0, 100), "",
                     "Threshold of the norm test: smaller = larger batches.")
                  .When(test, {"norm"}));
  f.push_back(Number(n + ".theta", LONGSTRIDE_AT(training.batch.norm_test.theta), Above(0, 100), "",
                     "Threshold of the inner-product test.")
                  .When(test, {"innerProduct", "augmentedInnerProduct"}));
  f.push_back(Number(n + ".nu", LONGSTRIDE_AT(training.batch.norm_test.nu), Above(0, 1000), "",
                     "Threshold of the orthogonality test.")
                  .When(test, {"augmentedInnerProduct"}));
  f.push_back(Integer(n + ".sketchSize", LONGSTRIDE_AT(training.batch.norm_test.sketch_size),
                      From(16, 1 << 20), "numbers",
                      "Size of the sketch; its relative error is about the root of 2 / sketchSize.")
                  .When(estimator, {"sketch"}));
  f.push_back(Number(n + ".ema", LONGSTRIDE_AT(training.batch.norm_test.ema), FromToBelow(0, 1), "",
                     "Weight of the past when statistics are averaged over rounds; 0 = none."));
  f.push_back(Number(n + ".hysteresis", LONGSTRIDE_AT(training.batch.norm_test.hysteresis),
                     From(0, 1), "fraction of the batch", "Smaller changes are not made."));
  f.push_back(Number(n + ".maxGrowth", LONGSTRIDE_AT(training.batch.norm_test.max_growth),
                     Above(1, 1024), "factor per round", "Largest growth at once."));
  f.push_back(Boolean(n + ".monotone", LONGSTRIDE_AT(training.batch.norm_test.monotone),
                      "Never shrink the batch."));
  f.push_back(Boolean(n + ".biasCorrected", LONGSTRIDE_AT(training.batch.norm_test.bias_corrected),
                      "Subtract from the squared gradient norm what noise adds to it."));
}

void AddSynchronization(std::vector<Field>& f) {
  const std::string s = "spec.training.synchronization", outer = s + ".outer";
  f.push_back(Object(s, "What happens between two rounds of local steps."));
  f.push_back(Object(outer, "The outer optimizer, which applies the averaged change."));
  f.push_back(Enum(
      outer + ".name", LONGSTRIDE_ENUM_AT(training.synchronization.outer.kind),
      {"average", "nesterov", "slowmo"},
      "average: local SGD [Stich 2018]; nesterov: DiLoCo [Douillard 2023]; slowmo [Wang 2019]."));
  f.push_back(Number(outer + ".learningRate",
                     LONGSTRIDE_AT(training.synchronization.outer.learning_rate), Above(0, 10), "",
                     "Outer learning rate.")
                  .When(outer + ".name", {"nesterov", "slowmo"})
                  .DefaultWhen(outer + ".name", {"slowmo"}, 1.0));
  f.push_back(Number(outer + ".momentum", LONGSTRIDE_AT(training.synchronization.outer.momentum),
                     FromToBelow(0, 1), "", "Outer momentum.")
                  .When(outer + ".name", {"nesterov", "slowmo"})
                  .DefaultWhen(outer + ".name", {"slowmo"}, 0.5));
  f.push_back(Enum(s + ".aggregation", LONGSTRIDE_ENUM_AT(training.synchronization.aggregation),
                   {"mean", "clippedMean", "trimmedMean"},
                   "mean: weighted by samples; clippedMean: of updates cut to their median norm; "
                   "trimmedMean: without the extremes of each element [Yin 2018], unweighted."));
  f.push_back(Enum(s + ".message", LONGSTRIDE_ENUM_AT(training.synchronization.message),
                   {"float32", "bfloat16"},
                   "Type of the numbers sent; bfloat16 halves the bytes."));
  f.push_back(Enum(s + ".innerState", LONGSTRIDE_ENUM_AT(training.synchronization.inner_state),
                   {"keep", "average", "reset"},
                   "What happens to the inner optimizer's state at a synchronization."));
}

}  // namespace

std::vector<Field> TrainingFields() {
  std::vector<Field> f;
  f.push_back(Object("spec.training", "How to train, and for how long.").Required());
  f.push_back(Enum("spec.training.precision", LONGSTRIDE_ENUM_AT(training.precision),
                   {"float32", "float64"}, "Type of parameters and arithmetic."));
  f.push_back(Integer(
      "spec.training.maxSamples", LONGSTRIDE_AT(training.max_samples), From(0, 1e12), "samples",
      "Stop after this many; 0 = not set. This or maxEpochs is needed; the first reached counts."));
  f.push_back(Number("spec.training.maxEpochs", LONGSTRIDE_AT(training.max_epochs), From(0, 1e6),
                     "epochs",
                     "Stop after this many passes over the data, fractions allowed; 0 = not set."));
  AddOptimizer(f);
  AddLearningRate(f);
  f.push_back(Number("spec.training.gradientClipping", LONGSTRIDE_AT(training.gradient_clipping),
                     From(0, 1e9), "L2 norm",
                     "Scale each local step's gradient down to this norm; 0 = off."));
  AddLocalSteps(f);
  AddBatch(f);
  AddSynchronization(f);
  return f;
}

}  // namespace longstride
