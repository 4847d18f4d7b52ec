// The CustomResourceDefinition of TrainingJob, made from the field table: what an API server
// checks, defaults and prints. It refuses at apply time what ParseTrainingJob would refuse, as far
// as a structural schema and CEL rules can say it; the controller parses every job all the same.
//
// Defaults are part of the schema where a field always applies. A field that applies only under a
// condition (spec.model.cnn.channels) has none there: the server would write it into jobs that must
// not have it. Its default stands in its description.
#pragma once

#include <nlohmann/json.hpp>

namespace longstride {

inline constexpr const char* kGroup = "longstride.dev";
inline constexpr const char* kPlural = "trainingjobs";

[[nodiscard]] nlohmann::ordered_json ToCrd();

}  // namespace longstride
