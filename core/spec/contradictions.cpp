#include "core/spec/contradictions.h"

#include <string>

namespace longstride {
namespace {

void AddWorkers(std::vector<Rule>& rules) {
  rules.push_back({"", "metadata.name", "!self.metadata.name.contains('.')",
                   "must be lower-case letters, digits and '-': it is part of the pods' names"});
  rules.push_back(
      {"", "spec.workers",
       "self.spec.workers.all(group, size(self.metadata.name) + size(group.name) <= 51)",
       "pod names would be too long: metadata.name and the name of a group may have 51 characters "
       "together"});
  rules.push_back({"spec.workers[]", "minReplicas", "self.minReplicas <= self.maxReplicas",
                   "is more than maxReplicas"});
  rules.push_back({"spec.workers[].batch", "min", "self.min <= self.max", "is more than max"});
  rules.push_back({"spec", "replicas",
                   "self.workers.map(group, group.minReplicas).sum() <= self.replicas",
                   "is less than the groups' minReplicas add up to: raise it or lower them"});
  rules.push_back({"spec", "replicas",
                   "self.replicas <= self.workers.map(group, group.maxReplicas).sum()",
                   "is more than the groups' maxReplicas add up to: lower it or raise them"});
}

void AddBatch(std::vector<Rule>& rules) {
  const std::string initial = "training.batch.initial", read = "self." + initial;
  rules.push_back({"spec", initial, read + " <= self.limits.maxGlobalBatch",
                   "is more than spec.limits.maxGlobalBatch"});
  rules.push_back({"spec", initial, read + " >= self.replicas",
                   "is less than spec.replicas: each worker needs at least one sample"});
  rules.push_back({"spec", initial,
                   "self.workers.map(group, group.batch.min).min() * self.replicas <= " + read,
                   "is less than the workers need, each at least its group's batch.min"});
  rules.push_back({"spec", initial,
                   read + " <= self.workers.map(group, group.batch.max).max() * self.replicas",
                   "is more than the workers may take, each at most its group's batch.max"});
  rules.push_back(
      {"spec", initial,
       "self.training.batch.policy == 'fixed' || " + read +
           " > self.replicas * (self.model.name == 'resnet' ? 3 : 1) || (self.replicas > 1 && "
           "self.data.placement == 'shared' && ${training.batch.normTest.estimator} != "
           "'microbatch')",
       "is too few to measure noise within workers, so that the batch would never grow: more than "
       "one sample for each, of a resnet more than three, or policy: fixed"});
  rules.push_back({"spec.training.batch.normTest", "estimator",
                   "self.estimator != 'pseudoGradient' || self.test == 'norm'",
                   "pseudoGradient measures no inner products: use sketch, exact or microbatch, or "
                   "test: norm"});
}

void AddModelAndData(std::vector<Rule>& rules) {
  rules.push_back({"spec.model.resnet", "depth",
                   "self.style == 'cifar' ? (self.depth - 2) % 6 == 0 : self.depth in [18, 50]",
                   "no such ResNet: style cifar has 6n+2 layers, as 20 or 56, imagenet 18 or 50"});
  rules.push_back({"spec.model.gpt", "heads", "self.width % self.heads == 0", "must divide width"});
  rules.push_back({"spec.data.normalization", "std",
                   "size(${mean}) <= 1 || size(${std}) <= 1 || size(${mean}) == size(${std})",
                   "mean and std must have one value, or one per channel"});
  rules.push_back({"spec.data", "normalization",
                   "self.format != 'cifar10' || (size(${normalization.mean}) in [0, 1, 3] && "
                   "size(${normalization.std}) in [0, 1, 3])",
                   "mean and std must have one value or three, as there are three channels"});
  rules.push_back({"spec.data", "vocabulary", "${tokenType} != 'uint16' || ${vocabulary} <= 65536",
                   "does not fit into uint16: use tokenType: uint32"});
  rules.push_back({"spec.data.synthetic", "shape", "self.task != 'images' || size(${shape}) == 3",
                   "images need [channels, height, width]"});
  rules.push_back({"spec.data.synthetic", "classes",
                   "self.task == 'regression' || self.classes >= 2",
                   "there must be at least 2 to tell apart"});
}

void AddPlacement(std::vector<Rule>& rules) {
  for (const std::string path : {"path", "evaluationPath"}) {
    rules.push_back({"spec.data", path,
                     "${placement} == 'local' || !${" + path + "}.matches('[{](group|index)[}]')",
                     "{group} and {index} stand for a worker's own only with placement local: add "
                     "placement: local, or remove them"});
  }
  const std::string estimator = "training.batch.normTest.estimator";
  rules.push_back(
      {"spec", estimator,
       "self.data.placement == 'shared' || self.training.batch.policy == 'fixed' || ${" +
           estimator + "} in ['sketch', 'exact']",
       "cannot tell skew between local data from noise: use sketch or exact"});
  rules.push_back(
      {"spec.data", "placement",
       "self.format != 'synthetic' || ${placement} == 'shared' || has(self.partition)",
       "every worker would generate the same synthetic samples: add a partition, or use "
       "placement: shared"});
  const std::string shards = "${data.partition.shards}";
  rules.push_back({"spec", "data.partition", shards + " == 0 || self.replicas <= " + shards,
                   "there are fewer shards than spec.replicas"});
  // Even of a suspended job: its checkpoint knows the shards.
  rules.push_back({"spec", "replicas",
                   "self.replicas == oldSelf.replicas || !has(self.data.partition) || "
                   "self.data.partition.shards > 0",
                   "cannot change: the data are cut into as many shards; set data.partition.shards "
                   "to the largest number of workers"});
}

void AddModelFitsData(std::vector<Rule>& rules) {
  const std::string synthetic = "self.data.format == 'synthetic'";
  const std::string tokens = "(self.data.format in ['tokens', 'text'] || (" + synthetic +
                             " && ${data.synthetic.task} == 'tokens'))";
  const std::string regression = "(" + synthetic + " && ${data.synthetic.task} == 'regression')";
  rules.push_back({"spec", "model.name",
                   "self.model.name == 'torchscript' || (self.model.name == 'gpt') == " + tokens,
                   "cannot be trained on these data: gpt is for tokens and text, the others for "
                   "all else"});
  rules.push_back({"spec", "data",
                   "!(self.model.name in ['cnn', 'resnet'] && " + synthetic +
                       ") || size(${data.synthetic.shape}) == 3",
                   "cnn and resnet need a synthetic.shape of [channels, height, width]"});
  rules.push_back(
      {"spec", "model",
       "self.model.name != 'torchscript' || self.data.format == 'npy' || "
       "(${model.torchscript.loss} == 'meanSquaredError') == " +
           regression,
       "torchscript.loss does not fit the data: meanSquaredError is for targets (regression), "
       "crossEntropy for classes"});
  rules.push_back(
      {"spec", "evaluation",
       "!has(self.evaluation.target) || self.evaluation.target.metric == 'loss' || !" + regression,
       "a regression has no accuracy: use target.metric loss"});
}

void AddTraining(std::vector<Rule>& rules) {
  const std::string at = "spec.training", rate = "learningRate";
  const std::string decays = "self.learningRate.schedule in ['cosine', 'linear']";
  rules.push_back({at, "", "self.maxSamples > 0 || self.maxEpochs > 0.0",
                   "the job would never end: set maxSamples or maxEpochs"});
  rules.push_back({at + ".optimizer", "nesterov", "!${nesterov} || ${momentum} > 0.0",
                   "nesterov needs momentum, for example 0.9"});
  rules.push_back({at, rate,
                   "!(" + decays + ") || ${learningRate.decaySamples} > 0 || self.maxSamples > 0",
                   "the schedule needs a length: set decaySamples, or training.maxSamples"});
  const std::string end = "(" + decays +
                          " && ${learningRate.decaySamples} > 0 ? "
                          "${learningRate.decaySamples} : self.maxSamples)";
  rules.push_back({at, rate + ".warmupSamples",
                   end + " == 0 || self.learningRate.warmupSamples < " + end,
                   "warm-up does not end before the schedule or the job does"});
  rules.push_back({at + "." + rate, "stepSamples",
                   "!has(self.stepSamples) || (self.stepSamples.isSorted() && "
                   "self.stepSamples.all(x, self.stepSamples.exists_one(y, y == x)))",
                   "must be ascending"});
  rules.push_back({at, rate + ".coupling",
                   "self.learningRate.coupling == 'none' || self.batch.policy == 'adaptive'",
                   "has no effect: a batch of policy fixed never changes"});
  rules.push_back({at + ".localSteps", "steps", "self.policy != 'qsr' || ${steps} <= ${maxSteps}",
                   "is more than maxSteps"});
  const std::string s = "synchronization", trimmed = "self.aggregation != 'trimmedMean'";
  rules.push_back({at + "." + s, "aggregation", trimmed + " || self.message == 'float32'",
                   "trimmedMean works on float32 messages: use message float32, or clippedMean"});
  rules.push_back({"spec", "training." + s + ".aggregation",
                   "self.training.synchronization.aggregation != 'trimmedMean' || "
                   "self.replicas >= 4",
                   "trimmedMean needs at least 4 replicas: use clippedMean"});
}

void AddRest(std::vector<Rule>& rules) {
  rules.push_back({"spec.evaluation.target", "value",
                   "self.metric != 'accuracy' || self.value <= 1.0",
                   "an accuracy is a fraction of 1: 0.9 is 90 %"});
  rules.push_back({"spec.evaluation.target", "value", "self.value > 0.0", "must be above 0"});
  rules.push_back({"spec.checkpoint.storage", "subPath",
                   "!${subPath}.startsWith('/') && !('/' + ${subPath} + '/').contains('/../')",
                   "must stay inside the volume: a relative path without .."});
  rules.push_back({"spec.limits", "memory",
                   "type(self.memory) == int ? self.memory == 0 || self.memory >= 67108864 : "
                   "quantity(self.memory).compareTo(quantity('0')) == 0 || "
                   "quantity(self.memory).compareTo(quantity('64Mi')) >= 0",
                   "too little for a worker: at least 64Mi; mind the unit, as in 2Gi"});
}

}  // namespace

std::vector<Rule> Contradictions() {
  std::vector<Rule> rules;
  for (auto* add : {AddWorkers, AddBatch, AddModelAndData, AddPlacement, AddModelFitsData,
                    AddTraining, AddRest}) {
    add(rules);
  }
  return rules;
}

}  // namespace longstride
