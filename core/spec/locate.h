// Where a field stands in a manifest.
#pragma once

#include <string>
#include <string_view>

#include "core/spec/node.h"

namespace longstride {

struct Place {
  const Node* node = nullptr;  // the value at the path; null if the manifest does not set it
  Mark mark;  // of a scalar value, else of its key, else of the nearest object above
  std::string source;
};

// `path` is concrete: "spec.workers[1].batch.min".
[[nodiscard]] Place Locate(const Node& root, std::string_view path);

}  // namespace longstride
