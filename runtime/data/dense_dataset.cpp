#include "runtime/data/dense_dataset.h"

#include <algorithm>
#include <cmath>

#include "core/base/format.h"

namespace longstride::data {
namespace {

struct Channel {
  double mean = 0;
  double std = 1;
};

class DenseDataset final : public Dataset {
 public:
  DenseDataset(DenseFeatures features, DenseTargets targets, std::vector<Channel> channels)
      : features_(std::move(features)),
        targets_(std::move(targets)),
        channels_(std::move(channels)) {
    shape_.features = features_.shape;
    shape_.classes = targets_.classes;
    shape_.outputs = targets_.outputs;
    for (const Segment& segment : features_.segments) size_ += segment.count;
    for (int64_t extent : features_.shape) width_ *= static_cast<size_t>(extent);
    plane_ = width_ / channels_.size();
    if (features_.type == ElementType::kUint8) FillTable();
  }

  [[nodiscard]] int64_t size() const override { return size_; }
  [[nodiscard]] const DataShape& shape() const override { return shape_; }

  void Read(std::span<const int64_t> indices, Batch& batch) const override {
    batch.size = static_cast<int64_t>(indices.size());
    batch.ids.clear();
    batch.floats.resize(indices.size() * width_);
    float* out = batch.floats.data();
    for (int64_t index : indices) {
      Convert(Sample(index), out);
      out += width_;
    }
    ReadTargets(indices, batch);
  }

 private:
  // A byte has 256 values, so normalizing it is one load.
  void FillTable() {
    table_.resize(channels_.size() * 256);
    for (size_t c = 0; c < channels_.size(); ++c) {
      for (int x = 0; x < 256; ++x) {
        table_[c * 256 + static_cast<size_t>(x)] =
            static_cast<float>((x / 255.0 - channels_[c].mean) / channels_[c].std);
      }
    }
  }

  [[nodiscard]] const uint8_t* Sample(int64_t index) const {
    size_t s = 0;
    while (index >= features_.segments[s].count) index -= features_.segments[s++].count;
    const Segment& segment = features_.segments[s];
    return segment.bytes.view.data() + static_cast<size_t>(index) * segment.stride;
  }

  void Convert(const uint8_t* from, float* out) const {
    switch (features_.type) {
      case ElementType::kUint8:
        for (size_t c = 0; c < channels_.size(); ++c) {
          const float* table = table_.data() + c * 256;
          for (size_t i = 0; i < plane_; ++i) *out++ = table[*from++];
        }
        return;
      case ElementType::kInt32:
        return ConvertNumbers<int32_t>(from, out);
      case ElementType::kInt64:
        return ConvertNumbers<int64_t>(from, out);
      case ElementType::kFloat32:
        return ConvertNumbers<float>(from, out);
      case ElementType::kFloat64:
        return ConvertNumbers<double>(from, out);
    }
  }

  template <typename T>
  void ConvertNumbers(const uint8_t* from, float* out) const {
    for (const Channel& channel : channels_) {
      for (size_t i = 0; i < plane_; ++i, from += sizeof(T)) {
        const auto x = static_cast<double>(LoadLittle<T>(from));
        *out++ = static_cast<float>((x - channel.mean) / channel.std);
      }
    }
  }

  void ReadTargets(std::span<const int64_t> indices, Batch& batch) const {
    batch.labels.clear();
    batch.targets.clear();
    if (targets_.classes > 0) {
      for (int64_t index : indices)
        batch.labels.push_back(targets_.labels[static_cast<size_t>(index)]);
      return;
    }
    for (int64_t index : indices) {
      const auto first = targets_.values.begin() + index * targets_.outputs;
      batch.targets.insert(batch.targets.end(), first, first + targets_.outputs);
    }
  }

  DenseFeatures features_;
  DenseTargets targets_;
  std::vector<Channel> channels_;
  std::vector<float> table_;  // [channels, 256]
  DataShape shape_;
  int64_t size_ = 0;
  size_t width_ = 1;  // elements of a sample
  size_t plane_ = 0;  // elements of a channel
};

Status CheckCount(const char* field, const std::vector<double>& values, size_t channels) {
  if (values.size() <= 1 || values.size() == channels) return {};
  return UserError(
      Format("spec.data.normalization.%s: %zu values for %zu channels; give one value, or "
             "one per channel",
             field, values.size(), channels));
}

}  // namespace

size_t ElementSize(ElementType type) {
  switch (type) {
    case ElementType::kUint8:
      return 1;
    case ElementType::kInt32:
    case ElementType::kFloat32:
      return 4;
    case ElementType::kInt64:
    case ElementType::kFloat64:
      return 8;
  }
  return 0;
}

int64_t CountClasses(std::span<const int64_t> labels) {
  return labels.empty() ? 0 : *std::max_element(labels.begin(), labels.end()) + 1;
}

Result<std::unique_ptr<Dataset>> MakeDenseDataset(DenseFeatures features, DenseTargets targets,
                                                  const Normalization& normalization) {
  const auto count = static_cast<size_t>(features.shape.front());
  LONGSTRIDE_RETURN_IF_ERROR(CheckCount("mean", normalization.mean, count));
  LONGSTRIDE_RETURN_IF_ERROR(CheckCount("std", normalization.std, count));
  const bool per_channel = normalization.mean.size() > 1 || normalization.std.size() > 1;
  std::vector<Channel> channels(per_channel ? count : 1);
  for (size_t c = 0; c < channels.size(); ++c) {
    const auto pick = [c](const std::vector<double>& v) { return v.size() == 1 ? v[0] : v[c]; };
    if (!normalization.mean.empty()) channels[c].mean = pick(normalization.mean);
    if (!normalization.std.empty()) channels[c].std = pick(normalization.std);
    if (!std::isfinite(channels[c].mean) || !std::isfinite(channels[c].std) ||
        channels[c].std <= 0) {
      return UserError(
          Format("spec.data.normalization: channel %zu has mean %g and std %g; give "
                 "finite numbers and a std above 0",
                 c, channels[c].mean, channels[c].std));
    }
  }
  return std::unique_ptr<Dataset>(
      std::make_unique<DenseDataset>(std::move(features), std::move(targets), std::move(channels)));
}

Result<DatasetPair> MakeDensePair(DenseFeatures train, DenseTargets train_targets,
                                  DenseFeatures evaluation, DenseTargets evaluation_targets,
                                  const Normalization& normalization) {
  DatasetPair pair;
  LONGSTRIDE_ASSIGN_OR_RETURN(
      pair.train, MakeDenseDataset(std::move(train), std::move(train_targets), normalization));
  LONGSTRIDE_ASSIGN_OR_RETURN(
      pair.evaluation,
      MakeDenseDataset(std::move(evaluation), std::move(evaluation_targets), normalization));
  return pair;
}

}  // namespace longstride::data
