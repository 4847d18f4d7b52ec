#include "core/spec/crd_schema.h"

#include <cmath>

#include "core/spec/rules.h"

namespace longstride {
namespace {

using Json = nlohmann::ordered_json;

bool IsEmpty(const nlohmann::json& value) {
  return value.is_string() ? value.get_ref<const std::string&>().empty() : value.empty();
}

// 16 rather than 16.0 where the value is whole.
Json NumberJson(double value) {
  if (value == std::floor(value) && std::fabs(value) < 1e16) return static_cast<int64_t>(value);
  return value;
}

std::string DescriptionOf(const Field& field) {
  std::string text = field.description;
  if (!field.only_when.empty()) text += " Only when " + ConditionText(field) + ".";
  if (!field.unit.empty()) text += " Unit: " + field.unit + ".";
  if (!field.at || HasSchemaDefault(field) || field.required) return text;
  const nlohmann::json value = ValueOf(field, DefaultJob());
  if (IsEmpty(value)) return text;
  text += " Default: " + (value.is_string() ? value.get<std::string>() : value.dump());
  for (const ConditionalDefault& choice : field.default_when) {
    Field condition;
    condition.only_when = {choice.when};
    text += ", or " + nlohmann::json(choice.value).dump() + " when " + ConditionText(condition);
  }
  return text + ".";
}

void AddBounds(const Bounds& bounds, Json& schema) {
  if (std::isfinite(bounds.min)) schema["minimum"] = NumberJson(bounds.min);
  if (bounds.above_min) schema["exclusiveMinimum"] = true;
  if (std::isfinite(bounds.max)) schema["maximum"] = NumberJson(bounds.max);
  if (bounds.below_max) schema["exclusiveMaximum"] = true;
}

Json Numeric(bool integer, const Bounds& bounds) {
  Json schema{{"type", integer ? "integer" : "number"}, {"format", integer ? "int64" : "double"}};
  AddBounds(bounds, schema);
  return schema;
}

void AddItems(const Field& field, Json items, Json& schema) {
  schema["type"] = "array";
  schema["items"] = std::move(items);
  if (field.min_items > 0) schema["minItems"] = field.min_items;
  if (field.max_items > 0) schema["maxItems"] = field.max_items;
}

void AddString(const Field& field, Json& schema) {
  if (field.required) schema["minLength"] = 1;
  if (field.max_length > 0) schema["maxLength"] = field.max_length;
  if (!field.pattern.empty()) schema["pattern"] = field.pattern;
}

void AddGroups(const Field& field, Json& schema) {
  AddItems(field, SchemaOf(field.path + "[]"), schema);
  schema["x-kubernetes-list-type"] = "map";
  schema["x-kubernetes-list-map-keys"] = {"name"};
}

Json ValueSchema(const Field& field) {
  switch (field.type) {
    case FieldType::kInteger:
      return Numeric(true, field.bounds);
    case FieldType::kNumber:
      return Numeric(false, field.bounds);
    case FieldType::kBoolean:
      return {{"type", "boolean"}};
    case FieldType::kEnum:
      return {{"type", "string"}, {"enum", field.values}};
    case FieldType::kQuantity: {
      Json schema{{"x-kubernetes-int-or-string", true},
                  {"anyOf", {{{"type", "integer"}}, {{"type", "string"}}}}};
      AddBounds(field.bounds, schema);
      AddString(field, schema);
      return schema;
    }
    case FieldType::kIntegerList:
    case FieldType::kNumberList: {
      Json schema;
      AddItems(field, Numeric(field.type == FieldType::kIntegerList, field.bounds), schema);
      schema["x-kubernetes-list-type"] = "atomic";
      return schema;
    }
    case FieldType::kString: {
      Json schema{{"type", "string"}};
      AddString(field, schema);
      return schema;
    }
    case FieldType::kOpaque:
      return {{"type", "object"}, {"x-kubernetes-preserve-unknown-fields", true}};
    case FieldType::kStringMap:
      return {{"type", "object"}, {"additionalProperties", {{"type", "string"}}}};
    case FieldType::kObject:
      return SchemaOf(field.path);
    case FieldType::kObjectList: {
      Json schema;
      AddGroups(field, schema);
      return schema;
    }
  }
  return {};
}

// All that is below by default: the server judges a default by its rules before it fills it up.
Json DefaultOf(const Field& field) {
  if (field.at) return Json(ValueOf(field, DefaultJob()));
  const bool list = field.type == FieldType::kObjectList;
  Json object = Json::object();
  for (const Field* child : ChildrenOf(field.path + (list ? "[]" : ""))) {
    if (HasSchemaDefault(*child)) object[child->name()] = DefaultOf(*child);
  }
  return list ? Json::array({std::move(object)}) : object;
}

Json SchemaOfField(const Field& field) {
  Json schema{{"description", DescriptionOf(field)}};
  schema.update(ValueSchema(field));
  if (HasSchemaDefault(field)) schema["default"] = DefaultOf(field);
  return schema;
}

}  // namespace

bool HasSchemaDefault(const Field& field) {
  if (field.required || field.present || !field.only_when.empty() || !field.default_when.empty()) {
    return false;
  }
  if (!field.at) return field.type == FieldType::kObject || field.type == FieldType::kObjectList;
  return !IsEmpty(ValueOf(field, DefaultJob()));
}

bool IsAlwaysThere(const Field& field) {
  return HasSchemaDefault(field) || (field.required && field.only_when.empty());
}

Json SchemaOf(std::string_view table_path) {
  Json schema{{"type", "object"}};
  Json required = Json::array();
  for (const Field* field : ChildrenOf(table_path)) {
    schema["properties"][field->name()] = SchemaOfField(*field);
    if (field->required && field->only_when.empty()) required.push_back(field->name());
  }
  if (!required.empty()) schema["required"] = std::move(required);
  for (const Rule& rule : RulesAt(table_path)) {
    Json json{{"rule", rule.expression}, {"message", rule.message}};
    if (!rule.field.empty()) json["fieldPath"] = "." + rule.field;
    schema["x-kubernetes-validations"].push_back(std::move(json));
  }
  return schema;
}

}  // namespace longstride
