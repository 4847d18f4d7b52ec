#include "core/spec/to_json.h"

#include "core/spec/fields.h"
#include "core/spec/parse.h"

namespace longstride {
namespace {

using Json = nlohmann::ordered_json;

bool IsEmpty(const nlohmann::json& value) {
  return value.is_string() ? value.get_ref<const std::string&>().empty() : value.empty();
}

Json ObjectOf(const std::string& table_path, const TrainingJob& job, size_t group) {
  static const TrainingJob kDefaults;
  Json object = Json::object();
  for (const Field* field : ChildrenOf(table_path)) {
    if (!Applies(*field, job) || (field->present && !field->present(job))) continue;
    if (field->type == FieldType::kObject) {
      object[field->name()] = ObjectOf(field->path, job, group);
    } else if (field->type == FieldType::kObjectList) {
      Json list = Json::array();
      for (size_t i = 0; i < job.spec.workers.size(); ++i) {
        list.push_back(ObjectOf(field->path + "[]", job, i));
      }
      object[field->name()] = std::move(list);
    } else if (field->at) {
      const nlohmann::json value = ValueOf(*field, job, group);
      // Empty means "not set", but for lists whose default is not empty (a model without hidden
      // layers).
      if (IsEmpty(value) && (!value.is_array() || IsEmpty(ValueOf(*field, kDefaults)))) continue;
      object[field->name()] = Json(value);
    }
  }
  return object;
}

}  // namespace

Json ToOrderedJson(const TrainingJob& job) {
  Json json = Json::object();
  json["apiVersion"] = kApiVersion;
  json["kind"] = kKind;
  json["metadata"] = ObjectOf("metadata", job, 0);
  for (const auto& [key, value] : job.metadata.other.items()) json["metadata"][key] = Json(value);
  json["spec"] = ObjectOf("spec", job, 0);
  return json;
}

nlohmann::json ToJson(const TrainingJob& job) {
  return nlohmann::json(ToOrderedJson(job));
}

}  // namespace longstride
