#include "core/spec/places.h"

#include <algorithm>

namespace longstride {

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

}  // namespace longstride
