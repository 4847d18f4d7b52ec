// Names a hosted job; its path is /v1/jobs/{namespace}/{name}.
#pragma once

#include <compare>
#include <string>

namespace longstride {

struct JobKey {
  std::string namespace_ = "default";
  std::string name;
  friend auto operator<=>(const JobKey&, const JobKey&) = default;
};

}  // namespace longstride
