#include "core/protocol/backend.h"

#include <algorithm>

namespace longstride {

std::string ChooseBackend(const std::vector<WorkerProfile>& profiles) {
  const bool alike = std::all_of(profiles.begin(), profiles.end(), [&](const WorkerProfile& p) {
    return p.device == "cuda" && !p.device_version.empty() &&
           p.device_version == profiles.front().device_version;
  });
  return !profiles.empty() && alike ? "nccl" : "gloo";
}

}  // namespace longstride
