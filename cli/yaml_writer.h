// JSON as block-style YAML, for manifests that people read.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace longstride {

// Mappings and lists of mappings in block style, other lists as [a, b]. Strings are quoted where
// YAML 1.1 or 1.2 would read something else. Reading the text back gives the same value.
[[nodiscard]] std::string ToYaml(const nlohmann::ordered_json& json);

}  // namespace longstride
