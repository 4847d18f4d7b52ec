// Small files that are read as a whole: certificates, tokens, kubeconfigs.
#pragma once

#include <string>

#include "core/base/result.h"

namespace longstride::kube {

// kUser when it cannot be read or is larger than 1 MiB.
[[nodiscard]] Result<std::string> ReadSmallFile(const std::string& path);

}  // namespace longstride::kube
