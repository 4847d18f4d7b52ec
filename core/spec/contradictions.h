// The hand-written part of rules.h.
#pragma once

#include <vector>

#include "core/spec/rules.h"

namespace longstride {

// Expressions name fields that may be absent as ${...}, see ExpandFields.
[[nodiscard]] std::vector<Rule> Contradictions();

}  // namespace longstride
