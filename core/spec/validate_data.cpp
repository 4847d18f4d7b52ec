// What is said of the model and of the data, and whether they fit.
#include "core/base/format.h"
#include "core/spec/fields.h"
#include "core/spec/validator.h"

namespace longstride {

void Validator::CheckModel() {
  const ModelSpec& model = spec_.model;
  if (model.kind == ModelKind::kResnet) {
    const int64_t depth = model.resnet.depth;
    const bool cifar = model.resnet.style == ResnetStyle::kCifar;
    Require(cifar ? (depth - 2) % 6 == 0 : depth == 18 || depth == 50, "spec.model.resnet.depth",
            {"spec.model.name", "spec.model.resnet.style"},
            Format("no ResNet of style %s has %ld layers", cifar ? "cifar" : "imagenet", depth),
            cifar ? "use 6n+2, as 20 or 56" : "use 18 or 50");
  }
  if (model.kind == ModelKind::kGpt) {
    Require(model.gpt.width % model.gpt.heads == 0, "spec.model.gpt.heads",
            {"spec.model.name", "spec.model.gpt.width"},
            Format("%ld heads do not divide the width %ld", model.gpt.heads, model.gpt.width));
  }
}

void Validator::CheckData() {
  const DataSpec& data = spec_.data;
  const auto& mean = data.normalization.mean;
  const auto& std = data.normalization.std;
  Require(mean.size() <= 1 || std.size() <= 1 || mean.size() == std.size(),
          "spec.data.normalization.std", {"spec.data.normalization.mean"},
          Format("%zu values, but mean has %zu", std.size(), mean.size()),
          "give one for all channels, or one per channel in both");
  if (data.format == DataFormat::kCifar10) {
    for (const auto* list : {&mean, &std}) {
      Require(list->size() <= 1 || list->size() == 3,
              list == &mean ? "spec.data.normalization.mean" : "spec.data.normalization.std",
              {"spec.data.format"}, Format("%zu values for three channels", list->size()),
              "give one or three");
    }
  }
  if (data.format == DataFormat::kTokens && data.token_type == TokenType::kUint16) {
    Require(data.vocabulary <= 65536, "spec.data.vocabulary", {"spec.data.tokenType"},
            Format("%ld token ids do not fit into uint16", data.vocabulary),
            "use tokenType: uint32");
  }
  if (data.format != DataFormat::kSynthetic) return;
  const SyntheticData& synthetic = data.synthetic;
  if (synthetic.task == SyntheticTask::kImages) {
    Require(synthetic.shape.size() == 3, "spec.data.synthetic.shape", {"spec.data.synthetic.task"},
            "images need [channels, height, width]", "for example shape: [3, 32, 32]");
  }
  if (synthetic.task != SyntheticTask::kRegression) {
    Require(synthetic.classes >= 2, "spec.data.synthetic.classes", {"spec.data.synthetic.task"},
            "there must be at least 2 to tell apart");
  }
}

void Validator::CheckPlacement() {
  const DataSpec& data = spec_.data;
  const bool local = data.placement == DataPlacement::kLocal;
  for (const auto& [at, path] : {std::pair("spec.data.path", &data.path),
                                 std::pair("spec.data.evaluationPath", &data.evaluation_path)}) {
    const bool own =
        path->find("{group}") != std::string::npos || path->find("{index}") != std::string::npos;
    Require(local || !own, at, {"spec.data.placement"},
            "{group} and {index} stand for a worker's own only with placement local",
            "add placement: local, or remove them");
  }
  if (!local) return;
  // A shard's number has room for 8 groups of 1024 (core/schedule/position_ranges.h).
  Require(spec_.workers.size() <= 8, "spec.data.placement", {"spec.workers"},
          Format("local data in %zu worker groups: at most 8 are possible", spec_.workers.size()));
  const BatchSpec& batch = spec_.training.batch;
  const NoiseEstimator estimator = batch.norm_test.estimator;
  const std::string at = "spec.training.batch.normTest.estimator";
  Require(batch.policy == BatchPolicy::kFixed || estimator == NoiseEstimator::kSketch ||
              estimator == NoiseEstimator::kExact,
          at, {"spec.data.placement", "spec.training.batch.policy"},
          EnumName(job_, at) + " cannot tell skew between local data from noise",
          "use sketch or exact");
  const bool tokens = data.format == DataFormat::kTokens || data.format == DataFormat::kText;
  const bool labels = data.format != DataFormat::kSynthetic ||
                      data.synthetic.task == SyntheticTask::kClassification ||
                      data.synthetic.task == SyntheticTask::kImages;
  if (!data.partition) {
    Require(data.format != DataFormat::kSynthetic, "spec.data.placement",
            {"spec.data.format", "spec.data.synthetic.task", "spec.data.partition"},
            "every worker would generate the same synthetic samples",
            labels ? "cut them, as by partition: {dirichlet: 0.1}" : "use placement: shared");
    return;
  }
  Require(!tokens && labels, "spec.data.partition",
          {"spec.data.format", "spec.data.synthetic.task"},
          "data without classes cannot be partitioned by class");
  Require(spec_.workers.size() == 1, "spec.data.partition", {"spec.workers"},
          "a partition's shards are those of one worker group", "use a single group");
  const int64_t shards = data.partition->shards;
  Require(shards == 0 || shards >= spec_.replicas, "spec.data.partition.shards", {"spec.replicas"},
          Format("%ld shards are too few for %ld workers", shards, spec_.replicas));
}

void Validator::CheckModelFitsData() {
  const DataSpec& data = spec_.data;
  const bool synthetic = data.format == DataFormat::kSynthetic;
  const bool tokens = data.format == DataFormat::kTokens || data.format == DataFormat::kText ||
                      (synthetic && data.synthetic.task == SyntheticTask::kTokens);
  const bool regression = synthetic && data.synthetic.task == SyntheticTask::kRegression;
  const bool targets_unknown = data.format == DataFormat::kNpy;
  const std::string model = EnumName(job_, "spec.model.name");
  const std::string what = EnumName(job_, "spec.data.format") +
                           (synthetic ? " " + EnumName(job_, "spec.data.synthetic.task") : "");
  const Paths uses = {"spec.data.format", "spec.data.synthetic.task", "spec.data.synthetic.shape"};
  const bool own = spec_.model.kind == ModelKind::kTorchscript;
  const bool gpt = spec_.model.kind == ModelKind::kGpt;
  if (!own) {
    Require(gpt == tokens, "spec.model.name", uses,
            "a model of kind " + model + " cannot be trained on " + what + " data",
            gpt ? "gpt needs format tokens or text" : "use gpt for tokens and text");
  }
  if ((spec_.model.kind == ModelKind::kCnn || spec_.model.kind == ModelKind::kResnet) &&
      synthetic) {
    Require(data.synthetic.shape.size() == 3, "spec.data.synthetic.shape",
            {"spec.model.name", "spec.data.synthetic.task"},
            "a " + model + " needs images of shape [channels, height, width]",
            "for example shape: [3, 32, 32]");
  }
  if (own && !targets_unknown) {
    const bool squared = spec_.model.torchscript.loss == ScriptLoss::kMeanSquaredError;
    Require(squared == regression, "spec.model.torchscript.loss", uses,
            squared ? "meanSquaredError needs targets, but " + what + " data has classes"
                    : "crossEntropy needs classes, but " + what + " data has targets",
            squared ? "use crossEntropy" : "use meanSquaredError");
  }
  if (spec_.evaluation.target && regression) {
    Require(spec_.evaluation.target->metric == TargetMetric::kLoss, "spec.evaluation.target.metric",
            uses, "a regression has no accuracy", "use metric: loss");
  }
}

}  // namespace longstride
