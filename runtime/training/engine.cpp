#include "runtime/training/engine.h"

#include <exception>
#include <optional>

#include "core/base/format.h"
#include "runtime/model/model.h"
#include "runtime/training/gradient.h"
#include "runtime/training/round_engine.h"

namespace longstride {

Result<std::unique_ptr<Engine>> MakeEngine(EngineOptions options,
                                           std::shared_ptr<const Dataset> train,
                                           std::shared_ptr<const Dataset> evaluation,
                                           std::unique_ptr<Model> model) {
  if (train->size() == 0) return DataError("the training set has no samples");
  const TrainingSpec& training = options.job.spec.training;
  if (SampleLimit(training, train->size()) == INT64_MAX && !options.job.spec.evaluation.target) {
    return UserError(
        "the job never ends: set training.maxSamples, training.maxEpochs or evaluation.target");
  }
  const std::optional<EvaluationTarget>& target = options.job.spec.evaluation.target;
  if (target && target->metric == TargetMetric::kAccuracy && train->shape().classes == 0) {
    return UserError(
        "evaluation.target: these data are a regression, which has no accuracy: use metric: loss");
  }
  try {
    if (training.precision == Precision::kFloat64) {
      return std::unique_ptr<Engine>(std::make_unique<RoundEngine<double>>(
          std::move(options), std::move(train), std::move(evaluation), std::move(model)));
    }
    return std::unique_ptr<Engine>(std::make_unique<RoundEngine<float>>(
        std::move(options), std::move(train), std::move(evaluation), std::move(model)));
  } catch (const std::exception& e) {
    if (IsOutOfMemory(e))
      return ResourceError(
          "the model and its optimizer do not fit in memory: use a smaller model or a device with "
          "more memory");
    return BugError(Format("the model cannot be moved into flat vectors: %s", e.what()));
  }
}

}  // namespace longstride
