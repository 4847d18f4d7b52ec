// A dataset as the training loop sees it: numbered samples that can be copied into a batch. No
// tensors here; a batch is plain memory that the caller wraps.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/spec/training_job.h"

namespace longstride {

// What one sample is, and what a model needs to size itself.
struct DataShape {
  // Of the features of one sample: {features}, {channels, height, width} or, for tokens, {context}.
  std::vector<int64_t> features;
  bool tokens = false;  // features are int64 token ids instead of floats
  int64_t classes = 0;  // classes, or vocabulary for tokens; 0 = regression
  int64_t outputs = 0;  // regression: float targets per sample; otherwise 0
};

// Owned memory of one batch of n samples. Exactly one of `floats` and `ids` holds features, and
// exactly one of `labels` and `targets` holds what is to be predicted:
//   classification: floats [n, features...], labels [n]
//   regression:     floats [n, features...], targets [n, outputs]
//   tokens:         ids [n, context],        labels [n, context] (the ids one position on)
struct Batch {
  int64_t size = 0;
  std::vector<float> floats;
  std::vector<int64_t> ids;
  std::vector<int64_t> labels;
  std::vector<float> targets;
};

// Immutable after opening; all methods are thread-safe.
class Dataset {
 public:
  virtual ~Dataset() = default;
  [[nodiscard]] virtual int64_t size() const = 0;  // samples
  [[nodiscard]] virtual const DataShape& shape() const = 0;
  // Copies the samples `indices` (each in [0, size())) into `batch`, replacing what it held;
  // features are normalized. Vectors are reused, so a loop allocates nothing.
  virtual void Read(std::span<const int64_t> indices, Batch& batch) const = 0;
};

struct DatasetPair {
  std::unique_ptr<Dataset> train;
  std::unique_ptr<Dataset> evaluation;
};

// Opens what `spec` names and checks it whole: magic numbers, counts, sizes, label range. A broken
// file gives a kData error naming the file, the offset in bytes, what stands there and what was
// expected. `seed` only matters for synthetic data.
[[nodiscard]] Result<DatasetPair> OpenDatasets(const DataSpec& spec, uint64_t seed);

}  // namespace longstride
