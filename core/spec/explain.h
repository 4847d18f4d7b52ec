// The field table as text: `longstride explain`, and docs/manifest.md.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"

namespace longstride {

// What a field is: type, default, bounds, meaning, and the fields below it, as kubectl explain
// shows them. `path` may leave out "spec." and list indices; empty = the whole manifest. kUser with
// the nearest path if there is no such field.
[[nodiscard]] Result<std::string> Explain(std::string_view path);

// docs/manifest.md, whole. A test keeps the committed file equal to it.
[[nodiscard]] std::string ManifestDocs();

}  // namespace longstride
