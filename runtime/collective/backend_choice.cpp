#include "runtime/collective/backend_choice.h"

#include <algorithm>

namespace longstride {

CollectiveBackend ChooseBackend(std::span<const MemberDevice> members) {
  const bool alike = std::all_of(members.begin(), members.end(), [&](const MemberDevice& member) {
    return member.cuda && !member.version.empty() && member.version == members.front().version;
  });
  return alike && !members.empty() ? CollectiveBackend::kNccl : CollectiveBackend::kGloo;
}

}  // namespace longstride
