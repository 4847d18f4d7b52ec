// Predicts the peak memory of a step from the peaks of smaller ones. Activations grow linearly with
// the micro-batch, on top of what does not depend on it (weights, optimizer state, libraries).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace longstride {

class MemoryModel {
 public:
  // `limit_bytes` 0 = no limit. 90 % of it may be used: allocators fragment, and the kernel needs
  // some.
  explicit MemoryModel(int64_t limit_bytes)
      : budget_bytes_(static_cast<double>(limit_bytes) * 0.9) {}

  // What was held before the first step.
  void SetBaseline(int64_t bytes) { baseline_bytes_ = bytes; }
  // The peak after a step of `micro_batch` samples; in order of growing micro-batches.
  void Add(int64_t micro_batch, int64_t peak_bytes) {
    points_.emplace_back(micro_batch, peak_bytes);
  }

  // Peak bytes at `micro_batch`. From one point, all growth over the baseline counts as
  // proportional (too much, hence safe). From several, the steepest slope that leads to the last
  // one.
  [[nodiscard]] double Predict(int64_t micro_batch) const;
  [[nodiscard]] bool Fits(int64_t micro_batch) const {
    return budget_bytes_ <= 0 || Predict(micro_batch) <= budget_bytes_;
  }
  // The largest micro-batch in [low, high] that fits; `low` must.
  [[nodiscard]] int64_t Largest(int64_t low, int64_t high) const;

 private:
  double budget_bytes_;
  int64_t baseline_bytes_ = 0;
  std::vector<std::pair<int64_t, int64_t>> points_;
};

}  // namespace longstride
