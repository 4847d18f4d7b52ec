// Predicts the peak memory of a step from the peaks of smaller ones. Activations grow linearly with
// the micro-batch, on top of what does not depend on it (weights, optimizer state, libraries).
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace longstride {

class MemoryModel {
 public:
  // `limit_bytes` 0 = no limit. 90 % of it may be used: allocators fragment, and the kernel needs
  // some.
  explicit MemoryModel(int64_t limit_bytes) { SetLimit(limit_bytes); }
  void SetLimit(int64_t limit_bytes) { budget_bytes_ = static_cast<double>(limit_bytes) * 0.9; }

  // What was held before the first step.
  void SetBaseline(int64_t bytes) { baseline_bytes_ = bytes; }
  // The peak after a step of `micro_batch` samples; in order of growing micro-batches.
  void Add(int64_t micro_batch, int64_t peak_bytes) {
    points_.emplace_back(micro_batch, peak_bytes);
  }

  // Steps of all sizes in turns led to this peak: what allocators cannot use again counts, too.
  void RaiseLast(int64_t peak_bytes);

  // Peak bytes at `micro_batch`. From one point, all growth over the baseline counts as
  // proportional (too much, hence safe). From several, the steepest slope that leads to the last
  // one.
  [[nodiscard]] double Predict(int64_t micro_batch) const;
  [[nodiscard]] bool Fits(int64_t micro_batch) const {
    return budget_bytes_ <= 0 || Predict(micro_batch) <= budget_bytes_;
  }
  // The largest micro-batch in [low, high] that fits; `low` if none does.
  [[nodiscard]] int64_t Largest(int64_t low, int64_t high) const;

 private:
  double budget_bytes_;
  int64_t baseline_bytes_ = 0;
  std::vector<std::pair<int64_t, int64_t>> points_;
};

// Limits may be lowered under a running worker. What was mapped then stays; the next growth beyond
// the limit ends the process. So the micro-batch follows the limit down; it never rises again.
class MemoryLimitWatch {
 public:
  MemoryLimitWatch(MemoryModel model, int64_t limit_bytes, int64_t micro_batch_cap)
      : model_(std::move(model)), limit_bytes_(limit_bytes), cap_(micro_batch_cap) {}

  // The limit as it is now, 0 = none. Returns the new cap if it has to be lower.
  [[nodiscard]] std::optional<int64_t> Observe(int64_t limit_bytes);

 private:
  MemoryModel model_;
  int64_t limit_bytes_;
  int64_t cap_;
};

}  // namespace longstride
