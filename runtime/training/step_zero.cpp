#include "runtime/training/step_zero.h"

#include <algorithm>

#include "core/schedule/sums.h"
#include "runtime/training/kernels.h"

namespace longstride {

template <typename T>
StepZero<T>::StepZero(const StepZeroOptions& options, int64_t size, int64_t covered)
    : options_(options),
      covered_(covered),
      gradient_(options.observe ? size : 0),
      sketch_(std::max<int64_t>(1, options.sketch_size), options.seed, 0) {}

template <typename T>
void StepZero<T>::Begin(int64_t round) {
  round_ = round;
  Restart();
}

template <typename T>
void StepZero<T>::Restart() {
  segments_.clear();
  microbatches_.clear();
  microbatch_sketches_.clear();
  weights_.clear();
}

template <typename T>
void StepZero<T>::Observe(std::span<const GradientSegment<T>> segments, int64_t size,
                          double weight) {
  const bool first = microbatches_.empty();
  int64_t elements = 0;
  for (const GradientSegment<T>& s : segments) elements += static_cast<int64_t>(s.gradient.size());
  if (first && elements < covered_) std::ranges::fill(gradient(), T{0});

  double norm_squared = 0;
  auto known = segments_.begin();
  for (const GradientSegment<T>& s : segments) {
    const std::span<T> sum = gradient().subspan(static_cast<size_t>(s.offset), s.gradient.size());
    // A later micro-batch may be the first to reach a parameter.
    known = std::ranges::find_if(known, segments_.end(),
                                 [&](const GradientSegment<T>& k) { return k.offset >= s.offset; });
    if (known == segments_.end() || known->offset != s.offset)
      known = segments_.insert(known, {s.offset, sum});
    if (first) {
      std::ranges::copy(s.gradient, sum.begin());
    } else {
      kernels::AddScaled(sum, s.gradient, 1, sum);
    }
    norm_squared += SquaredNorm(s.gradient);
  }
  microbatches_.push_back(
      {.batch = static_cast<double>(size), .norm_squared = norm_squared / (weight * weight)});
  weights_.push_back(weight);

  if (!options_.inner_products) return;
  GradientSketch sketch(options_.sketch_size, options_.seed, static_cast<uint64_t>(round_));
  for (const GradientSegment<T>& s : segments) {
    sketch.Skip(s.offset - sketch.elements());
    sketch.Add(s.gradient);
  }
  microbatch_sketches_.push_back(std::move(sketch));
}

template <typename T>
void StepZero<T>::Finish() {
  // With one micro-batch its norm is known already.
  norm_squared_ =
      microbatches_.size() == 1 ? microbatches_[0].norm_squared : SquaredNorm(gradient());
  within_ = SummarizeMicrobatches(microbatches_, norm_squared_);
  if (options_.sketch_size == 0) return;
  sketch_ = GradientSketch(options_.sketch_size, options_.seed, static_cast<uint64_t>(round_));
  sketch_.Add(gradient());
}

template <typename T>
double StepZero<T>::InnerProductSpread(std::span<const double> mean_sketch) const {
  const double mean = sketch_.InnerProduct(mean_sketch);
  double spread = 0;
  for (size_t j = 0; j < microbatch_sketches_.size(); ++j) {
    const double difference =
        microbatch_sketches_[j].InnerProduct(mean_sketch) / weights_[j] - mean;
    spread += microbatches_[j].batch * difference * difference;
  }
  return spread;
}

template class StepZero<float>;
template class StepZero<double>;

}  // namespace longstride
