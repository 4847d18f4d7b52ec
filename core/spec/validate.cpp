#include "core/spec/validate.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "core/base/format.h"
#include "core/spec/fields.h"
#include "core/spec/locate.h"
#include "core/spec/places.h"

namespace longstride {
namespace {

constexpr const char* kLabelRule =
    "lower-case letters, digits and '-', starting and ending with a letter or digit";

// RFC 1123 label, without the bound on its length.
bool IsLabel(const std::string& name) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && alphanumeric(name.front()) && alphanumeric(name.back()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return alphanumeric(c) || c == '-'; });
}

// RFC 1123 subdomain: labels joined by dots.
bool IsSubdomain(const std::string& name) {
  for (size_t from = 0; from <= name.size();) {
    const size_t dot = std::min(name.find('.', from), name.size());
    if (!IsLabel(name.substr(from, dot - from))) return false;
    from = dot + 1;
  }
  return name.size() <= 253;
}

class Validator {
 public:
  Validator(const Node& root, const TrainingJob& job, Faults& faults)
      : root_(root), job_(job), spec_(job.spec), faults_(faults) {}

  void Run() {
    CheckRequired();
    CheckApplicable();
    CheckMetadata();
    CheckWorkers();
    CheckAggregation();
    CheckModel();
    CheckData();
    CheckModelFitsData();
    CheckDuration();
    CheckLearningRate();
    CheckLocalSteps();
    CheckBatch();
    CheckRest();
  }

 private:
  using Paths = std::initializer_list<std::string_view>;

  void Fail(const std::string& path, std::string message, std::string hint = "") {
    const Place place = Locate(root_, path);
    faults_.Add({place.source, place.mark, path, std::move(message), std::move(hint)});
  }
  // Reports at `path` unless `good`, or one of `uses` or `path` itself is known to be faulty.
  void Require(bool good, const std::string& path, Paths uses, std::string message,
               std::string hint = "") {
    if (good || faults_.Touches(path)) return;
    for (const std::string_view used : uses) {
      if (faults_.Touches(used)) return;
    }
    Fail(path, std::move(message), std::move(hint));
  }
  bool IsSet(std::string_view path) const { return Locate(root_, path).node != nullptr; }

  void CheckRequired();
  void CheckApplicable();
  void CheckMetadata();
  void CheckWorkers();
  void CheckAggregation();
  void CheckModel();
  void CheckData();
  void CheckModelFitsData();
  void CheckDuration();
  void CheckLearningRate();
  void CheckLocalSteps();
  void CheckBatch();
  void CheckRest();

  const Node& root_;
  const TrainingJob& job_;
  const TrainingJobSpec& spec_;
  Faults& faults_;
};

// True if a condition of `field` or of an object above it rests on a faulty field.
bool RestsOnFault(const Field& field, const Faults& faults) {
  for (const Condition& condition : field.only_when) {
    if (faults.Touches(condition.path)) return true;
  }
  const size_t dot = field.path.rfind('.');
  const Field* parent = dot == std::string::npos ? nullptr : FindField(field.path.substr(0, dot));
  return parent && RestsOnFault(*parent, faults);
}

void Validator::CheckRequired() {
  for (const Field& field : AllFields()) {
    if (!field.required || IsSet(field.path) || faults_.Touches(field.path)) continue;
    if (RestsOnFault(field, faults_) || !Applies(field, job_)) continue;
    const size_t dot = field.path.rfind('.');
    const Field* parent = dot == std::string::npos ? nullptr : FindField(field.path.substr(0, dot));
    if (parent && parent->present && !parent->present(job_)) continue;
    std::string message = "is required";
    if (!field.only_when.empty()) message += " when " + ConditionText(field);
    std::string hint;
    if (!field.example.empty()) hint = "for example " + field.name() + ": " + field.example;
    if (field.path == "apiVersion") hint = "write apiVersion: longstride.dev/v1alpha1";
    if (field.path == "kind") hint = "write kind: TrainingJob";
    Fail(field.path, message, hint);
  }
}

void Validator::CheckApplicable() {
  for (const Field& field : AllFields()) {
    if (field.only_when.empty() || Applies(field, job_) || !IsSet(field.path)) continue;
    // An object above that does not apply has a fault of its own by now.
    if (faults_.Touches(field.path) || RestsOnFault(field, faults_)) continue;
    const std::string& selector = field.only_when.front().path;
    Fail(field.path, "would be ignored: it applies only when " + ConditionText(field),
         "remove it, or change " + selector + " (now " + EnumName(job_, selector) + ")");
  }
}

void Validator::CheckMetadata() {
  const ObjectMeta& meta = job_.metadata;
  Require(IsLabel(meta.name), "metadata.name", {},
          "\"" + Shorten(meta.name) + "\" is not a valid name", kLabelRule);
  Require(meta.name.size() <= 63, "metadata.name", {}, "is longer than 63 characters",
          "shorten it");
  Require(IsLabel(meta.namespace_) && meta.namespace_.size() <= 63, "metadata.namespace", {},
          "\"" + Shorten(meta.namespace_) + "\" is not a valid namespace", kLabelRule);
}

void Validator::CheckWorkers() {
  // A pod is named <job>-<group>-<index>-<incarnation>, and its name is a label.
  constexpr size_t kLongestNames = 63 - sizeof("--1023-99999") + 1;
  std::set<std::string> names;
  for (size_t i = 0; i < spec_.workers.size(); ++i) {
    const WorkerGroup& group = spec_.workers[i];
    const std::string at = "spec.workers[" + std::to_string(i) + "]";
    Require(IsLabel(group.name), at + ".name", {},
            "\"" + Shorten(group.name) + "\" is not a valid name", kLabelRule);
    Require(
        job_.metadata.name.size() + group.name.size() <= kLongestNames, at + ".name",
        {"metadata.name"},
        Format("is too long for pod names: it and metadata.name may have %zu characters together",
               kLongestNames),
        "shorten one of them");
    Require(names.insert(group.name).second, at + ".name", {},
            "two worker groups are named \"" + Shorten(group.name) + "\"",
            "give each group its own name");
    Require(group.min_replicas <= group.max_replicas, at + ".minReplicas", {at + ".maxReplicas"},
            Format("minReplicas %ld is more than maxReplicas %ld", group.min_replicas,
                   group.max_replicas));
    Require(group.batch.min <= group.batch.max, at + ".batch.min", {at + ".batch.max"},
            Format("min %ld is more than max %ld", group.batch.min, group.batch.max));
  }
  const auto [fewest, most] = BoundsOf(spec_);
  Require(spec_.replicas >= fewest, "spec.replicas", {"spec.workers"},
          Format("%ld workers are fewer than the %ld that the groups' minReplicas add up to",
                 spec_.replicas, fewest),
          "raise replicas or lower minReplicas");
  Require(spec_.replicas <= most, "spec.replicas", {"spec.workers"},
          Format("%ld workers are more than the %ld that the groups' maxReplicas add up to",
                 spec_.replicas, most),
          "lower replicas or raise maxReplicas");
}

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
  // Which group gets how many workers is dealt later; what no dealing can satisfy is wrong already.
  int64_t smallest = spec_.workers.front().batch.min, largest = spec_.workers.front().batch.max;
  for (const WorkerGroup& group : spec_.workers) {
    smallest = std::min(smallest, group.batch.min);
    largest = std::max(largest, group.batch.max);
  }
  const double low = static_cast<double>(smallest) * static_cast<double>(spec_.replicas);
  const double high = static_cast<double>(largest) * static_cast<double>(spec_.replicas);
  const Paths uses = {"spec.replicas", "spec.workers"};
  Require(static_cast<double>(initial) >= low, at, uses,
          Format("%ld is less than %ld workers with a batch.min of %ld need", initial,
                 spec_.replicas, smallest));
  Require(static_cast<double>(initial) <= high, at, uses,
          Format("%ld is more than %ld workers with a batch.max of %ld may take", initial,
                 spec_.replicas, largest));
}

void Validator::CheckRest() {
  if (const auto& target = spec_.evaluation.target) {
    const bool accuracy = target->metric == TargetMetric::kAccuracy;
    const std::string at = "spec.evaluation.target.value";
    Require(!accuracy || target->value <= 1, at, {"spec.evaluation.target.metric"},
            Format("an accuracy of %g is more than 1", target->value),
            target->value <= 100 ? Format("did you mean %g?", target->value / 100) : "");
    Require(target->value > 0, at, {"spec.evaluation.target.metric"},
            accuracy ? "an accuracy of 0 is reached at once" : "a loss of 0 is never reached");
  }
  if (const auto& storage = spec_.checkpoint.storage) {
    Require(IsSubdomain(storage->claim_name), "spec.checkpoint.storage.claimName", {},
            "\"" + Shorten(storage->claim_name) + "\" is not a valid name", kLabelRule);
    const std::string path = "/" + storage->sub_path + "/";
    Require(path.find("/../") == std::string::npos && !storage->sub_path.starts_with('/'),
            "spec.checkpoint.storage.subPath", {}, "must stay inside the volume",
            "a relative path without ..");
  }
  const std::string& manager = spec_.run_policy.managed_by;
  const size_t slash = manager.find('/');
  Require(manager.empty() || (slash != std::string::npos && slash + 1 < manager.size() &&
                              manager.size() <= 63 && IsSubdomain(manager.substr(0, slash))),
          "spec.runPolicy.managedBy", {}, "\"" + Shorten(manager) + "\" names no controller",
          "a domain, '/' and a path, as longstride.dev/controller");
  const std::string& currency = spec_.cost.currency;
  Require(currency.size() == 3 && std::all_of(currency.begin(), currency.end(),
                                              [](char c) { return c >= 'A' && c <= 'Z'; }),
          "spec.cost.currency", {}, "\"" + Shorten(currency) + "\" is not a currency code",
          "three capital letters, as USD or EUR");
  constexpr int64_t kLeastMemory = 64 << 20;
  Require(spec_.limits.memory_bytes == 0 || spec_.limits.memory_bytes >= kLeastMemory,
          "spec.limits.memory", {},
          Format("%ld bytes are too few for a worker", spec_.limits.memory_bytes),
          "at least 64Mi; mind the unit, as in 2Gi");
}

}  // namespace

void ValidateJob(const Node& root, const TrainingJob& job, Faults& faults) {
  Validator(root, job, faults).Run();
}

}  // namespace longstride
