// Samples of one shape that lie as rows in memory (IDX, npy, CIFAR-10): features are converted and
// normalized while they are copied into a batch; labels or targets were read at opening.
#pragma once

#include "runtime/data/bytes.h"
#include "runtime/data/dataset.h"

namespace longstride::data {

enum class ElementType { kUint8, kInt32, kInt64, kFloat32, kFloat64 };
[[nodiscard]] size_t ElementSize(ElementType type);

// `count` samples; sample i begins `stride` bytes after sample i-1, at any alignment.
struct Segment {
  Bytes bytes;  // starts at the features of the first sample
  size_t stride = 0;
  int64_t count = 0;
};

struct DenseFeatures {
  ElementType type = ElementType::kUint8;
  std::vector<int64_t> shape;  // of one sample; the first dimension is the channel
  std::vector<Segment> segments;
};

// Labels in [0, classes) for classification, or values [n, outputs] for regression.
struct DenseTargets {
  std::vector<int64_t> labels;
  int64_t classes = 0;
  std::vector<float> values;
  int64_t outputs = 0;
};

// Largest label + 1; 0 when there is none.
[[nodiscard]] int64_t CountClasses(std::span<const int64_t> labels);

// Features become (x - mean) / std per channel, unsigned bytes (x / 255 - mean) / std. One value of
// mean or std serves all channels. kUser error when their number does not fit or std is not
// positive.
[[nodiscard]] Result<std::unique_ptr<Dataset>> MakeDenseDataset(DenseFeatures features,
                                                                DenseTargets targets,
                                                                const Normalization& normalization);

[[nodiscard]] Result<DatasetPair> MakeDensePair(DenseFeatures train, DenseTargets train_targets,
                                                DenseFeatures evaluation,
                                                DenseTargets evaluation_targets,
                                                const Normalization& normalization);

}  // namespace longstride::data
