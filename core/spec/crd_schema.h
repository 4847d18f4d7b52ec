// The parts of the CRD that describe fields: the OpenAPI schema of the spec.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "core/spec/fields.h"

namespace longstride {

// True if the API server sets `field` whenever the object that holds it is there.
[[nodiscard]] bool HasSchemaDefault(const Field& field);
// True if an object of the schema always holds `field`: by default, or because it must be given.
[[nodiscard]] bool IsAlwaysThere(const Field& field);

// The schema of the object at `table_path`, with all below it and the rules (rules.h) of each.
[[nodiscard]] nlohmann::ordered_json SchemaOf(std::string_view table_path);

}  // namespace longstride
