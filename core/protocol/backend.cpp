#include "core/protocol/backend.h"

#include <algorithm>
#include <set>
#include <string>

namespace longstride {

std::string ChooseBackend(const std::vector<WorkerProfile>& profiles) {
  std::set<std::string> devices;
  const bool alike = std::all_of(profiles.begin(), profiles.end(), [&](const WorkerProfile& p) {
    return p.device == "cuda" && !p.device_version.empty() &&
           p.device_version == profiles.front().device_version &&
           devices.insert(p.device_id).second;
  });
  return !profiles.empty() && alike ? "nccl" : "gloo";
}

}  // namespace longstride
