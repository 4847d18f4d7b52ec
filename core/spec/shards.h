// Into how many shards a partition cuts the training set.
#pragma once

#include "core/spec/training_job.h"

namespace longstride {

// data.partition.shards, or replicas where that is 0. The job has a data.partition.
[[nodiscard]] inline int64_t ShardsOf(const TrainingJobSpec& spec) {
  const int64_t shards = spec.data.partition->shards;
  return shards > 0 ? shards : spec.replicas;
}

}  // namespace longstride
