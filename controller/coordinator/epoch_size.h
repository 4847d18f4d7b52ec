// How many samples an epoch of a run has, from what its workers say when they join: with shared
// data all say the same, with local data each the size of its shard.
#pragma once

#include <cstdint>
#include <map>

#include "core/protocol/messages.h"
#include "core/spec/places.h"

namespace longstride {

class EpochSize {
 public:
  explicit EpochSize(DataPlacement placement) : placement_(placement) {}

  // The epoch, with this worker.
  int64_t Add(const JoinRequest& join) {
    const bool local = placement_ == DataPlacement::kLocal;
    shards_[local ? WorkerPlace{join.worker.group, join.worker.index} : WorkerPlace{}] =
        join.train_samples;
    int64_t sum = 0;
    for (const auto& [place, samples] : shards_) sum += samples;
    return sum;
  }

 private:
  DataPlacement placement_;
  std::map<WorkerPlace, int64_t> shards_;
};

}  // namespace longstride
