#include "core/spec/places.h"

#include <algorithm>

#include "core/base/format.h"
#include "core/spec/shards.h"

namespace longstride {

ReplicaBounds BoundsOf(const TrainingJobSpec& spec) {
  ReplicaBounds bounds{0, 0};
  for (const WorkerGroup& group : spec.workers) {
    bounds.least += group.min_replicas;
    bounds.most += group.max_replicas;
  }
  bounds.least = std::max<int64_t>(1, bounds.least);
  return bounds;
}

Status CheckReplicas(const TrainingJobSpec& spec, int64_t replicas) {
  const ReplicaBounds bounds = BoundsOf(spec);
  if (replicas < bounds.least || replicas > bounds.most) {
    return UserError(
        Format("the job runs with %lld to %lld workers, not %lld (minReplicas and maxReplicas of "
               "its groups)",
               static_cast<long long>(bounds.least), static_cast<long long>(bounds.most),
               static_cast<long long>(replicas)));
  }
  if (!spec.data.partition) return {};
  const int64_t shards = ShardsOf(spec);
  if (replicas > shards) {
    return UserError(
        Format("the data are cut into %lld shards, which are too few for %lld workers: start the "
               "job with data.partition.shards set to the largest number of workers",
               static_cast<long long>(shards), static_cast<long long>(replicas)));
  }
  return {};
}

std::vector<WorkerPlace> DealReplicas(const TrainingJobSpec& spec) {
  std::vector<int64_t> counts;
  int64_t left = spec.replicas;
  for (const WorkerGroup& group : spec.workers) {
    counts.push_back(std::min(left, group.min_replicas));
    left -= counts.back();
  }
  for (bool dealt = true; left > 0 && dealt;) {
    dealt = false;
    for (size_t g = 0; g < counts.size() && left > 0; ++g) {
      if (counts[g] >= spec.workers[g].max_replicas) continue;
      ++counts[g];
      --left;
      dealt = true;
    }
  }
  std::vector<WorkerPlace> places;
  for (size_t g = 0; g < counts.size(); ++g) {
    for (int64_t i = 0; i < counts[g]; ++i) places.push_back({spec.workers[g].name, i});
  }
  std::ranges::sort(places);
  return places;
}

int64_t ShardNumber(const TrainingJobSpec& spec, const std::string& group, int64_t index) {
  constexpr int64_t kMostOfAGroup = 1024;
  const auto it = std::ranges::find(spec.workers, group, &WorkerGroup::name);
  return kMostOfAGroup * (it - spec.workers.begin()) + index;
}

}  // namespace longstride
