// The data that one worker sees under data.placement local: its own files, or its part of one data
// set that is cut by class.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/spec/training_job.h"
#include "runtime/data/dataset.h"

namespace longstride {

// Opens the job's data as worker `index` of `group` sees them. With placement shared that is
// OpenDatasets; with local, {group} and {index} in the paths are filled in, and a partition leaves
// the worker its shard of the training set (the evaluation set stays whole). kUser when the
// partition has no shard for the worker or the data have no classes; otherwise as OpenDatasets.
[[nodiscard]] Result<DatasetPair> OpenOwnDatasets(const TrainingJobSpec& job,
                                                  const std::string& group, int64_t index);

// By shard, the indices of its samples, ascending. Of the samples of each class, in an order drawn
// from the seed, the shards get consecutive parts in proportions drawn from a symmetric Dirichlet
// distribution with concentration `alpha` [Hsu, Qi, Brown 2019, arXiv 1909.06335]. Drawn anew until
// no shard is empty. Every index is in exactly one shard; the same result on every machine, for no
// libm function takes part. kUser when that cannot be had of so few samples.
[[nodiscard]] Result<std::vector<std::vector<int64_t>>> PartitionByClass(
    std::span<const int64_t> labels, int64_t classes, int64_t shards, double alpha, uint64_t seed);

}  // namespace longstride
