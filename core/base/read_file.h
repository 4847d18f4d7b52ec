// Files that are read as a whole: manifests, certificates, tokens, kubeconfigs.
#pragma once

#include <cstddef>
#include <string>

#include "core/base/result.h"

namespace longstride {

// At most `max_bytes` of the file at `path`: ask for one more than is accepted, to see that it is
// too large. kUser, naming the path, when it cannot be read.
[[nodiscard]] Result<std::string> ReadFile(const std::string& path, size_t max_bytes);

// The whole of a small file. kUser when it cannot be read or is larger than 1 MiB.
[[nodiscard]] Result<std::string> ReadSmallFile(const std::string& path);

}  // namespace longstride
