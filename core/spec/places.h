// Which worker takes which place.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/spec/training_job.h"

namespace longstride {

struct WorkerPlace {
  std::string group;
  int64_t index = 0;

  [[nodiscard]] std::string Name() const { return group + "-" + std::to_string(index); }
  // The order of ranks.
  friend auto operator<=>(const WorkerPlace&, const WorkerPlace&) = default;
};

// How many workers a job may have: the sums of its groups' minReplicas, at least one, and of their
// maxReplicas.
struct ReplicaBounds {
  int64_t least = 1;
  int64_t most = 0;
};
[[nodiscard]] ReplicaBounds BoundsOf(const TrainingJobSpec& spec);
// kUser when `replicas` is not within the bounds, or more than the data are cut into shards.
[[nodiscard]] Status CheckReplicas(const TrainingJobSpec& spec, int64_t replicas);

// Deals spec.replicas to the worker groups: first every group's minReplicas, then one to each group
// that has room, in the manifest's order, round after round. The result is sorted by (group,
// index), as ranks are. `spec` is valid, so the replicas always fit.
[[nodiscard]] std::vector<WorkerPlace> DealReplicas(const TrainingJobSpec& spec);

// The number of a worker's shard under data.placement local (core/schedule/position_ranges.h): the
// same whatever the other groups' sizes. `group` is one of the job's.
[[nodiscard]] int64_t ShardNumber(const TrainingJobSpec& spec, const std::string& group,
                                  int64_t index);

}  // namespace longstride
