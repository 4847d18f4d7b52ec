// What an API server does to an object by a structural schema, as far as tests of the CRD need it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace longstride {

using SchemaJson = nlohmann::ordered_json;

// Sets the schema's defaults where `value` has nothing.
inline void ApplyDefaults(const SchemaJson& schema, nlohmann::json& value) {
  if (value.is_array() && schema.contains("items")) {
    for (auto& item : value) ApplyDefaults(schema["items"], item);
  }
  if (!value.is_object() || !schema.contains("properties")) return;
  for (const auto& [name, property] : schema["properties"].items()) {
    if (!value.contains(name) && property.contains("default")) value[name] = property["default"];
    if (value.contains(name)) ApplyDefaults(property, value[name]);
  }
}

// The paths in `value` that the server would drop, or refuse under strict validation.
inline std::vector<std::string> UnknownFields(const SchemaJson& schema, const nlohmann::json& value,
                                              const std::string& path = "") {
  std::vector<std::string> unknown;
  const auto add = [&](const SchemaJson& below, const nlohmann::json& child, std::string name) {
    for (auto& each : UnknownFields(below, child, name)) unknown.push_back(std::move(each));
  };
  if (value.is_array() && schema.contains("items")) {
    for (const auto& item : value) add(schema["items"], item, path + "[]");
  }
  if (!value.is_object() || !schema.contains("properties")) return unknown;
  for (const auto& [name, child] : value.items()) {
    const std::string below = path + "." + name;
    if (schema["properties"].contains(name)) {
      add(schema["properties"][name], child, below);
    } else {
      unknown.push_back(below);
    }
  }
  return unknown;
}

}  // namespace longstride
