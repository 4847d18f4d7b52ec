#include "core/protocol/superseded_plans.h"

#include <algorithm>

namespace longstride {

void DropSuperseded(std::vector<Plan>& plans, int64_t version) {
  const auto governing = std::ranges::find(plans, version, &Plan::version);
  if (governing == plans.end()) return;
  std::erase_if(plans, [version, due = governing->first_round](const Plan& plan) {
    return plan.version < version && plan.first_round <= due;
  });
}

}  // namespace longstride
