// What is measured of the raw gradient at the anchor, in step 0 of a round: its sum over
// micro-batches, its norm, the spread of the micro-batches and the sketch. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/schedule/noise_statistics.h"
#include "core/schedule/sketch.h"
#include "core/spec/training_job.h"
#include "runtime/training/aligned_buffer.h"
#include "runtime/training/gradient.h"

namespace longstride {

struct StepZeroOptions {
  bool observe = false;         // false: nothing is kept and Begin is never called
  int64_t sketch_size = 0;      // 0 = no sketch
  bool inner_products = false;  // keep a sketch of every micro-batch, for <g_j, gbar>
  uint64_t seed = 0;            // of the sketch
};

template <typename T>
class StepZero final : public MicrobatchObserver<T> {
 public:
  // `covered` elements of the `size` flat ones belong to parameters.
  StepZero(const StepZeroOptions& options, int64_t size, int64_t covered);

  void Begin(int64_t round);  // the sketch's hash is fresh every round
  void Observe(std::span<const GradientSegment<T>> segments, int64_t size, double weight) override;
  void Restart() override;
  void Finish();  // after the last micro-batch

  [[nodiscard]] std::span<T> gradient() const { return gradient_.span(); }  // g_m, flat
  // The same for the optimizer: only parameters that have a gradient.
  [[nodiscard]] std::span<const GradientSegment<T>> segments() const { return segments_; }
  [[nodiscard]] double norm_squared() const { return norm_squared_; }  // ||g_m||^2
  [[nodiscard]] const WorkerMicrobatches& within() const { return within_; }
  [[nodiscard]] const GradientSketch& sketch() const { return sketch_; }

  // sum_j b_j <g_j - g_m, gbar>^2 with `mean_sketch`, the sketch of gbar; needs `inner_products`.
  [[nodiscard]] double InnerProductSpread(std::span<const double> mean_sketch) const;

 private:
  StepZeroOptions options_;
  int64_t covered_;
  int64_t round_ = 0;
  AlignedBuffer<T> gradient_;
  std::vector<GradientSegment<T>> segments_;
  std::vector<MicrobatchGradient> microbatches_;
  std::vector<GradientSketch> microbatch_sketches_;  // of the weighted gradients
  std::vector<double> weights_;
  double norm_squared_ = 0;
  WorkerMicrobatches within_;
  GradientSketch sketch_;
};

extern template class StepZero<float>;
extern template class StepZero<double>;

}  // namespace longstride
