#include "core/spec/parse.h"

#include <gmock/gmock.h>

#include "core/spec/fields.h"
#include "core/spec/to_json.h"
#include "tests/core/spec/spec_testing.h"

namespace longstride {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ParseTrainingJob, FillsDefaults) {
  const TrainingJob job = MustParse(Minimal());
  EXPECT_EQ(job.metadata.name, "test");
  EXPECT_EQ(job.metadata.namespace_, "default");
  EXPECT_EQ(job.spec.replicas, 4);
  ASSERT_EQ(job.spec.workers.size(), 1u);
  EXPECT_EQ(job.spec.workers[0].name, "worker");
  EXPECT_EQ(job.spec.training.local_steps.steps, 16);
  EXPECT_FALSE(job.spec.evaluation.target);
  EXPECT_FALSE(job.spec.checkpoint.storage);
}

TEST(ParseTrainingJob, ReadsEveryKindOfValue) {
  const TrainingJob job = MustParse(
      "apiVersion: longstride.dev/v1alpha1\n"
      "kind: TrainingJob\n"
      "metadata: {name: all, namespace: team, labels: {app: 'a'}, uid: 1-2}\n"
      "spec:\n"
      "  replicas: 5\n"
      "  workers:\n"
      "  - {name: fast, minReplicas: 1, maxReplicas: 2, batch: {min: 2, max: 512}}\n"
      "  - name: slow\n"
      "    template: {spec: {hostNetwork: yes, priority: 7, containers: [{name: worker}]}}\n"
      "  model: {name: resnet, resnet: {style: imagenet, depth: 50}}\n"
      "  data: {format: cifar10, path: /c, normalization: {mean: [0.1, 2, 3.5], std: [1]}}\n"
      "  training:\n"
      "    maxSamples: 1000\n"
      "    optimizer: {name: sgd, momentum: 0.9, nesterov: true}\n"
      "    learningRate: {schedule: step, stepSamples: [10, 20]}\n"
      "  evaluation: {target: {metric: loss, value: 1.5}}\n"
      "  checkpoint: {storage: {claimName: claim, subPath: a/b}}\n"
      "  limits: {memory: 2Gi}\n");
  EXPECT_EQ(job.metadata.namespace_, "team");
  EXPECT_EQ(job.metadata.labels, nlohmann::json({{"app", "a"}}));
  EXPECT_EQ(job.metadata.other, nlohmann::json({{"uid", "1-2"}}));
  EXPECT_EQ(job.spec.workers[0].batch.max, 512);
  EXPECT_EQ(job.spec.workers[1].max_replicas, 1024);
  EXPECT_EQ(
      job.spec.workers[1].pod_template,
      nlohmann::json::parse(
          R"({"spec": {"hostNetwork": true, "priority": 7, "containers": [{"name": "worker"}]}})"));
  EXPECT_EQ(job.spec.model.kind, ModelKind::kResnet);
  EXPECT_EQ(job.spec.model.resnet.style, ResnetStyle::kImagenet);
  EXPECT_THAT(job.spec.data.normalization.mean, ElementsAre(0.1, 2, 3.5));
  EXPECT_TRUE(job.spec.training.optimizer.nesterov);
  EXPECT_THAT(job.spec.training.learning_rate.step_samples, ElementsAre(10, 20));
  EXPECT_EQ(job.spec.evaluation.target->metric, TargetMetric::kLoss);
  EXPECT_EQ(job.spec.checkpoint.storage->sub_path, "a/b");
  EXPECT_EQ(job.spec.limits.memory_bytes, int64_t{2} << 30);
}

TEST(ParseTrainingJob, DefaultsThatDependOnAnotherField) {
  EXPECT_EQ(MustParse(Minimal()).spec.training.learning_rate.value, 0.05);
  const std::string adam = "    optimizer: {name: adam}\n";
  EXPECT_EQ(MustParse(Minimal(adam)).spec.training.learning_rate.value, 0.001);
  EXPECT_EQ(MustParse(Minimal(adam + "    learningRate: {value: 0.05}\n"))
                .spec.training.learning_rate.value,
            0.05);
  const std::string slowmo = "    synchronization: {outer: {name: slowmo}}\n";
  EXPECT_EQ(MustParse(Minimal(slowmo)).spec.training.synchronization.outer.learning_rate, 1.0);
}

TEST(ParseTrainingJob, ReportsAllFaultsAtOnceWithPositionPathAndHint) {
  EXPECT_EQ(FaultsOf(Minimal("    localSteps:\n"
                             "      polcy: constant\n"
                             "      steps: many\n",
                             "  replicas: 0\n"
                             "  model: {name: cn}\n")),
            "t:9:7: spec.training.localSteps.polcy: unknown field; did you mean \"policy\"?\n"
            "t:10:14: spec.training.localSteps.steps: expected an integer, got \"many\"\n"
            "t:11:13: spec.replicas: 0 is out of bounds, must be 1 to 1024\n"
            "t:12:17: spec.model.name: \"cn\" is not one of mlp, cnn, resnet, gpt, torchscript; "
            "did you mean \"cnn\"?");
}

TEST(ParseTrainingJob, AsksOnlyOfAJobThatIsToBeginThatItsWorkersCanTakeTheInitialBatch) {
  const std::string scaled = Minimal("", "  replicas: 1\n  workers: [{batch: {max: 64}}]\n");
  EXPECT_THAT(FaultsOf(scaled), HasSubstr("128 is more than the 64 that 1 workers may take"));
  EXPECT_EQ(FaultsOf(ParseTrainingJob(scaled, "t", {}, /*started=*/true)), "");
}

TEST(ParseTrainingJob, TakesJsonTextWithPositions) {
  const std::string json =
      "{\"apiVersion\":\"longstride.dev/v1alpha1\",\n"
      " \"kind\":\"TrainingJob\",\"metadata\":{\"name\":\"j\"},\n"
      " \"spec\":{\"data\":{\"path\":\"\\/d\"},\n"
      "\t\"training\":{\"maxEpochs\":1,\"localSteps\":{\"steps\":\"8\"}}}}";
  EXPECT_EQ(FaultsOf(json),
            "t:4:50: spec.training.localSteps.steps: expected an integer, got the string \"8\"; "
            "remove the quotes");
}

TEST(ParseTrainingJob, TakesWhatKubectlGetPrints) {
  const std::string text =
      "apiVersion: longstride.dev/v1alpha1\n"
      "kind: TrainingJob\n"
      "metadata:\n"
      "  annotations:\n"
      "    kubectl.kubernetes.io/last-applied-configuration: |\n"
      "      {\"apiVersion\":\"longstride.dev/v1alpha1\"}\n"
      "  creationTimestamp: \"2026-11-01T10:00:00Z\"\n"
      "  generation: 2\n"
      "  managedFields:\n"
      "  - {manager: kubectl, fieldsV1: {\"f:spec\": {\".\": {}}}}\n"
      "  name: live\n"
      "  namespace: default\n"
      "  resourceVersion: \"42\"\n"
      "  uid: 0f1\n"
      "spec: {data: {path: /d}, training: {maxEpochs: 1}}\n"
      "status:\n"
      "  anything: {round: 3}\n";
  const TrainingJob job = MustParse(text);
  EXPECT_EQ(job.metadata.other["generation"], 2);
  EXPECT_EQ(job.metadata.other["resourceVersion"], "42");
  EXPECT_FALSE(ToJson(job).contains("status"));
}

TEST(ParseTrainingJobJson, NamesPathsWithoutPositions) {
  nlohmann::json json = ToJson(MustParse(Minimal()));
  json["spec"]["replicas"] = "four";
  const ParsedJob parsed = ParseTrainingJobJson(json);
  EXPECT_EQ(FaultsOf(parsed), "spec.replicas: expected an integer, got the string \"four\"");
}

TEST(ToJson, RoundTripsExactly) {
  TrainingJob job = MustParse(Minimal("    optimizer: {momentum: 0.1234567890123456789}\n",
                                      "  seed: 9007199254740991\n"
                                      "  cost: {workerHour: 1.0e-17}\n"
                                      "  model: {name: mlp, mlp: {hidden: []}}\n"
                                      "  limits: {memory: 1500M}\n"));
  const nlohmann::json json = ToJson(job);
  const ParsedJob again = ParseTrainingJobJson(json);
  ASSERT_TRUE(again.ok()) << FaultsOf(again);
  EXPECT_EQ(ToJson(*again.job), json);
  EXPECT_EQ(again.job->spec.training.optimizer.momentum, job.spec.training.optimizer.momentum);
  EXPECT_TRUE(again.job->spec.model.mlp.hidden.empty());
  // The text form too, which is what a run directory keeps.
  EXPECT_EQ(ToJson(MustParse(json.dump(2))), json);
}

TEST(ToJson, HasDefaultsButNotWhatDoesNotApply) {
  const nlohmann::json json = ToJson(MustParse(Minimal()));
  EXPECT_EQ(json["spec"]["training"]["localSteps"]["steps"], 16);
  EXPECT_FALSE(json["spec"]["training"]["localSteps"].contains("maxSteps"));
  EXPECT_TRUE(json["spec"]["model"].contains("cnn"));
  EXPECT_FALSE(json["spec"]["model"].contains("gpt"));
}

// Every value of every enumeration is reachable by its name and survives the way through JSON.
TEST(FieldTable, EnumValuesStandInTheOrderOfTheirType) {
  for (const Field& field : AllFields()) {
    if (field.type != FieldType::kEnum) continue;
    TrainingJob job;
    job.spec.evaluation.target.emplace();
    for (size_t i = 0; i < field.values.size(); ++i) {
      std::get<EnumRef>(field.at(job, 0)).set(static_cast<int>(i));
      EXPECT_EQ(ValueOf(field, job), field.values[i]) << field.path;
    }
  }
  TrainingJob job;
  job.spec.model.kind = ModelKind::kTorchscript;
  EXPECT_EQ(EnumName(job, "spec.model.name"), "torchscript");
  job.spec.data.format = DataFormat::kSynthetic;
  EXPECT_EQ(EnumName(job, "spec.data.format"), "synthetic");
  job.spec.training.learning_rate.coupling = CouplingKind::kAdascale;
  EXPECT_EQ(EnumName(job, "spec.training.learningRate.coupling"), "adascale");
  job.spec.training.local_steps.policy = LocalStepsPolicy::kAuto;
  EXPECT_EQ(EnumName(job, "spec.training.localSteps.policy"), "auto");
  job.spec.training.batch.norm_test.estimator = NoiseEstimator::kPseudoGradient;
  EXPECT_EQ(EnumName(job, "spec.training.batch.normTest.estimator"), "pseudoGradient");
}

TEST(FieldTable, DefaultsKeepTheirOwnBounds) {
  TrainingJob job;
  job.spec.evaluation.target.emplace();
  job.spec.checkpoint.storage.emplace();
  job.spec.data.partition.emplace();
  for (const Field& field : AllFields()) {
    if (!field.at || field.required) continue;
    const nlohmann::json value = ValueOf(field, job);
    if (value.is_number()) {
      EXPECT_TRUE(field.bounds.Contain(value.get<double>())) << field.path;
    }
  }
}

TEST(LoadTrainingJob, SaysWhichFileCannotBeRead) {
  EXPECT_THAT(LoadTrainingJob("/nowhere/job.yaml").error().message,
              HasSubstr("/nowhere/job.yaml: cannot be read"));
}

}  // namespace
}  // namespace longstride
