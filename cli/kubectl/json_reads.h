// Reads of API objects that never fail: what is absent or of another type is empty.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace longstride {

// `pointer`: a JSON pointer, as /metadata/name.
inline const nlohmann::json& JsonAt(const nlohmann::json& object, const char* pointer) {
  static const nlohmann::json kNull;
  const nlohmann::json::json_pointer at(pointer);
  return object.contains(at) ? object[at] : kNull;
}
inline std::string TextAt(const nlohmann::json& object, const char* pointer) {
  const nlohmann::json& value = JsonAt(object, pointer);
  return value.is_string() ? value.get<std::string>() : "";
}
inline std::optional<double> NumberAt(const nlohmann::json& object, const char* pointer) {
  const nlohmann::json& value = JsonAt(object, pointer);
  if (!value.is_number()) return std::nullopt;
  return value.get<double>();
}
inline int64_t CountAt(const nlohmann::json& object, const char* pointer) {
  const nlohmann::json& value = JsonAt(object, pointer);
  return value.is_number() ? value.get<int64_t>() : 0;
}

}  // namespace longstride
