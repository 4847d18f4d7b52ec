// Whom the coordinators' certificate is made out to. Pure.
#pragma once

#include <string>
#include <vector>

#include "controller/app/options.h"
#include "core/base/result.h"

namespace longstride {

struct CoordinatorNames {
  std::vector<std::string> dns_names;
  std::vector<std::string> addresses;
};

// The Service's names, this pod's address, and the host of the URL that workers are given. kUser
// when that is no https:// URL.
[[nodiscard]] Result<CoordinatorNames> NamesOfCoordinator(const ControllerOptions& options);

}  // namespace longstride
