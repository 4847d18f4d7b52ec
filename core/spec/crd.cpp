#include "core/spec/crd.h"

#include <string>

#include "core/spec/crd_schema.h"
#include "core/spec/parse.h"
#include "core/spec/status_schema.h"

namespace longstride {
namespace {

using Json = nlohmann::ordered_json;

// Of metadata a CRD may say no more than what names are allowed.
Json MetadataSchema() {
  Json name = SchemaOf("metadata")["properties"]["name"];
  name.erase("description");
  return {{"type", "object"}, {"properties", {{"name", std::move(name)}}}};
}

Json Column(const std::string& name, const std::string& type, const std::string& path,
            const std::string& description) {
  return {{"name", name}, {"type", type}, {"jsonPath", path}, {"description", description}};
}

Json Columns() {
  return {Column("State", "string", ".status.state", "The job's state in one word."),
          Column("Ready", "string", ".status.ready", "Workers that are ready, of those wanted."),
          Column("Round", "integer", ".status.round", "Last committed round."),
          Column("Batch", "integer", ".status.globalBatch", "Global batch, in samples."),
          Column("Accuracy", "number", ".status.accuracy", "On the evaluation data; 0 to 1."),
          Column("Comm%", "number", ".status.communicationPercent",
                 "Share of the workers' time that communication took."),
          Column("Restarts", "integer", ".status.restarts", "Workers lost and replaced."),
          Column("Age", "date", ".metadata.creationTimestamp", "Time since the job was created.")};
}

Json Schema() {
  Json schema = SchemaOf("");
  schema["description"] = "One training run over several workers.";
  schema["properties"]["metadata"] = MetadataSchema();
  schema["properties"]["status"] = StatusSchema();
  schema["required"] = {"spec"};  // the rest the server demands of every object
  return schema;
}

Json Version() {
  const std::string version = std::string(kApiVersion).substr(std::string(kGroup).size() + 1);
  return {{"name", version},
          {"served", true},
          {"storage", true},
          {"additionalPrinterColumns", Columns()},
          {"subresources",
           {{"status", Json::object()},
            {"scale",
             {{"specReplicasPath", ".spec.replicas"},
              {"statusReplicasPath", ".status.replicas"},
              {"labelSelectorPath", ".status.selector"}}}}},
          {"schema", {{"openAPIV3Schema", Schema()}}}};
}

}  // namespace

Json ToCrd() {
  return {{"apiVersion", "apiextensions.k8s.io/v1"},
          {"kind", "CustomResourceDefinition"},
          {"metadata", {{"name", std::string(kPlural) + "." + kGroup}}},
          {"spec",
           {{"group", kGroup},
            {"scope", "Namespaced"},
            {"names",
             {{"kind", kKind},
              {"listKind", std::string(kKind) + "List"},
              {"plural", kPlural},
              {"singular", "trainingjob"},
              {"shortNames", {"tj"}},
              {"categories", {"all"}}}},
            {"versions", {Version()}}}}};
}

}  // namespace longstride
