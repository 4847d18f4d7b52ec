// Local data: which shard each member reads, and how large it is.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "core/schedule/ledger.h"
#include "core/spec/training_job.h"
#include "runtime/collective/collective.h"
#include "runtime/training/training_state.h"

namespace longstride {

// Called by all members of a generation once their states are aligned: gathers the sizes of their
// shards into `state`, the same on all of them, and returns the shards' numbers by rank. kData when
// a shard is not as large as it was before: its positions would mean other samples.
[[nodiscard]] Result<std::vector<int64_t>> AgreeOnShards(const TrainingJobSpec& job,
                                                         const std::vector<Member>& members,
                                                         int64_t own_samples,
                                                         Collective& collective,
                                                         TrainingState& state);

// Each shard's cursor before and after a round.
[[nodiscard]] std::vector<ShardAdvance> AdvanceOf(const ShardCursors& before,
                                                  const ShardCursors& after);

}  // namespace longstride
