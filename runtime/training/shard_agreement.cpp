#include "runtime/training/shard_agreement.h"

#include <span>

#include "core/base/format.h"
#include "core/spec/places.h"

namespace longstride {

Result<std::vector<int64_t>> AgreeOnShards(const TrainingJobSpec& job,
                                           const std::vector<Member>& members, int64_t own_samples,
                                           Collective& collective, TrainingState& state) {
  std::vector<int64_t> sizes(members.size(), own_samples);
  if (members.size() > 1) {
    LONGSTRIDE_RETURN_IF_ERROR(collective.AllGather(std::as_bytes(std::span(&own_samples, 1)),
                                                    std::as_writable_bytes(std::span(sizes)),
                                                    Purpose::kState));
  }
  std::vector<int64_t> shards;
  for (size_t r = 0; r < members.size(); ++r) {
    const WorkerId& worker = members[r].worker;
    shards.push_back(ShardNumber(job, worker.group, worker.index));
    const int64_t known = state.shard_samples.try_emplace(shards[r], sizes[r]).first->second;
    if (known != sizes[r]) {
      return DataError(
          Format("the shard of worker %s-%ld has %ld samples, but had %ld when its "
                 "positions were handed out: give it the same data as before",
                 worker.group.c_str(), worker.index, sizes[r], known));
    }
  }
  return shards;
}

std::vector<ShardAdvance> AdvanceOf(const ShardCursors& before, const ShardCursors& after) {
  std::vector<ShardAdvance> advance;
  for (const auto& [shard, cursor] : after) {
    const auto it = before.find(shard);
    advance.push_back({shard, it == before.end() ? 0 : it->second, cursor});
  }
  return advance;
}

}  // namespace longstride
