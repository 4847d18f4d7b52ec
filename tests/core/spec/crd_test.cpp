// The CRD says the same as the parser.
#include "core/spec/crd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/spec/fields.h"
#include "core/spec/node.h"
#include "core/spec/to_json.h"
#include "tests/core/spec/schema_testing.h"
#include "tests/core/spec/spec_testing.h"

namespace longstride {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const SchemaJson& Schema() {
  static const SchemaJson kSchema = ToCrd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
  return kSchema;
}

// The schema of a table path; null if there is none.
const SchemaJson* Find(std::string_view path) {
  const SchemaJson* schema = &Schema();
  for (size_t from = 0; from < path.size();) {
    const size_t dot = std::min(path.find('.', from), path.size());
    std::string name(path.substr(from, dot - from));
    const bool list = name.ends_with("[]");
    if (list) name.resize(name.size() - 2);
    if (!schema->contains("properties") || !(*schema)["properties"].contains(name)) return nullptr;
    schema = &(*schema)["properties"][name];
    if (list) schema = &(*schema)["items"];
    from = dot + 1;
  }
  return schema;
}

TEST(Crd, DescribesEveryFieldOfTheSpec) {
  for (const Field& field : AllFields()) {
    if (!field.path.starts_with("spec")) continue;
    const SchemaJson* schema = Find(field.path);
    ASSERT_NE(schema, nullptr) << field.path;
    EXPECT_THAT(schema->value("description", ""), HasSubstr(field.description)) << field.path;
  }
}

TEST(Crd, CarriesBoundsValuesPatternsAndDefaults) {
  EXPECT_EQ((*Find("spec.replicas"))["maximum"], 1024);
  EXPECT_EQ((*Find("spec.replicas"))["default"], 4);
  EXPECT_EQ((*Find("spec.training.batch.policy"))["enum"], SchemaJson({"fixed", "adaptive"}));
  EXPECT_EQ((*Find("spec.training.learningRate.value"))["exclusiveMinimum"], true);
  EXPECT_EQ((*Find("spec.cost.currency"))["pattern"], "^[A-Z]{3}$");
  EXPECT_EQ((*Find("spec.workers[].name"))["maxLength"], 50);
  EXPECT_EQ((*Find("spec.workers[].template"))["x-kubernetes-preserve-unknown-fields"], true);
}

// It would be written into jobs that must not have it.
TEST(Crd, HasNoDefaultForWhatAppliesOnlySometimes) {
  for (const Field& field : AllFields()) {
    if (field.only_when.empty() || !field.path.starts_with("spec")) continue;
    EXPECT_FALSE(Find(field.path)->contains("default")) << field.path;
  }
  EXPECT_THAT((*Find("spec.training.learningRate.value"))["description"].get<std::string>(),
              HasSubstr("Default: 0.05, or 0.001 when spec.training.optimizer.name is adam"));
}

TEST(Crd, DefaultsOfTheServerAreThoseOfTheParser) {
  for (const auto& entry :
       std::filesystem::directory_iterator(LONGSTRIDE_SOURCE_DIR "/manifests")) {
    if (entry.path().extension() != ".yaml" || entry.path().stem() == "install") continue;
    const std::string text = ReadTextFile(entry.path().string());
    Faults faults;
    const auto root = ReadNode(text, "", faults);
    ASSERT_TRUE(root) << entry.path();
    nlohmann::json served = ToOpaqueJson(*root, "", faults);
    EXPECT_THAT(UnknownFields(*Find("spec"), served["spec"]), IsEmpty());
    ApplyDefaults(Schema(), served);
    const ParsedJob job = ParseTrainingJobJson(served), as_written = ParseTrainingJob(text, "");
    ASSERT_TRUE(job.ok()) << entry.path() << "\n" << FaultsOf(job);
    EXPECT_EQ(ToJson(*job.job), ToJson(*as_written.job)) << entry.path();
  }
}

TEST(Crd, ServesStatusScaleAndColumns) {
  const SchemaJson version = ToCrd()["spec"]["versions"][0];
  EXPECT_EQ(version["name"], "v1alpha1");
  EXPECT_TRUE(version["subresources"].contains("status"));
  const SchemaJson& scale = version["subresources"]["scale"];
  for (const char* key : {"specReplicasPath", "statusReplicasPath", "labelSelectorPath"}) {
    EXPECT_NE(Find(scale[key].get<std::string>().substr(1)), nullptr) << key;
  }
  std::vector<std::string> columns;
  for (const SchemaJson& column : version["additionalPrinterColumns"]) {
    columns.push_back(column["name"]);
    const std::string path = column["jsonPath"];
    if (path.starts_with(".status")) {
      EXPECT_NE(Find(path.substr(1)), nullptr) << path;
    }
  }
  EXPECT_EQ(columns, (std::vector<std::string>{"State", "Ready", "Round", "Batch", "Accuracy",
                                               "Comm%", "Restarts", "Age"}));
}

// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
// #specifying-a-structural-schema
void CheckStructural(const SchemaJson& schema, const std::string& path) {
  EXPECT_TRUE(schema.contains("type") || schema.contains("x-kubernetes-int-or-string")) << path;
  if (schema.contains("x-kubernetes-list-map-keys")) {
    for (const SchemaJson& key : schema["x-kubernetes-list-map-keys"]) {
      const SchemaJson& item = schema["items"];
      const bool required = item.contains("required") &&
                            std::find(item["required"].begin(), item["required"].end(), key) !=
                                item["required"].end();
      EXPECT_TRUE(required || item["properties"][key.get<std::string>()].contains("default"))
          << path;
    }
  }
  if (schema.contains("items")) CheckStructural(schema["items"], path + "[]");
  if (!schema.contains("properties")) return;
  for (const auto& [name, property] : schema["properties"].items()) {
    CheckStructural(property, path + "." + name);
  }
}

TEST(Crd, IsStructural) {
  CheckStructural(Schema(), "");
}

}  // namespace
}  // namespace longstride
