#include "runtime/profile/memory_model.h"

#include <algorithm>

namespace longstride {

double MemoryModel::Predict(int64_t micro_batch) const {
  if (points_.empty()) return static_cast<double>(baseline_bytes_);
  const auto [last_batch, last_bytes] = points_.back();
  double slope = 0;  // bytes per sample
  if (points_.size() == 1) {
    slope = static_cast<double>(last_bytes - baseline_bytes_) / static_cast<double>(last_batch);
  }
  // The steepest, because a first small step may hide its growth in pages that were already
  // resident.
  for (size_t i = 0; i + 1 < points_.size(); ++i) {
    const auto [batch, bytes] = points_[i];
    slope = std::max(
        slope, static_cast<double>(last_bytes - bytes) / static_cast<double>(last_batch - batch));
  }
  return static_cast<double>(last_bytes) + slope * static_cast<double>(micro_batch - last_batch);
}

void MemoryModel::RaiseLast(int64_t peak_bytes) {
  if (!points_.empty()) points_.back().second = std::max(points_.back().second, peak_bytes);
}

int64_t MemoryModel::Largest(int64_t low, int64_t high) const {
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (Fits(middle)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

std::optional<int64_t> MemoryLimitWatch::Observe(int64_t limit_bytes) {
  if (limit_bytes <= 0 || (limit_bytes_ > 0 && limit_bytes >= limit_bytes_)) return std::nullopt;
  limit_bytes_ = limit_bytes;
  model_.SetLimit(limit_bytes);
  const int64_t cap = model_.Largest(1, cap_);
  if (cap == cap_) return std::nullopt;
  cap_ = cap;
  return cap;
}

}  // namespace longstride
