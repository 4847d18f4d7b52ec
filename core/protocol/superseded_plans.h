// Which of a generation's plans may still govern a round.
#pragma once

#include <cstdint>
#include <vector>

#include "core/protocol/messages.h"

namespace longstride {

// Drops from the plans of a generation those that can govern none of its rounds any more now that
// plan `version` has governed one: the older ones that were due no later. Drops none if `version`
// is not among `plans`: then the round was begun under a plan of other members.
void DropSuperseded(std::vector<Plan>& plans, int64_t version);

}  // namespace longstride
