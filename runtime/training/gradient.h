// Loss and gradient of a batch at the model's current parameters, accumulated from micro-batches.
// Running out of memory halves the micro-batch for good instead of failing: the gradient stays that
// of the whole batch. Not thread-safe.
#pragma once

#include <cstdint>
#include <exception>
#include <vector>

#include "core/base/result.h"
#include "core/schedule/noise_statistics.h"
#include "runtime/data/dataset.h"
#include "runtime/training/flat_state.h"

namespace longstride {

class Model;
struct TensorBatch;

// Whether an exception of LibTorch or the standard library says that memory ran out.
[[nodiscard]] bool IsOutOfMemory(const std::exception& e);

// Sizes of the micro-batches of a batch: at least `parts` of them, none above `cap`, as equal as
// can be (larger ones first). There are fewer, and then larger ones, where one of them would have
// less than `least` samples.
[[nodiscard]] std::vector<int64_t> SplitBatch(int64_t batch, int64_t parts, int64_t cap,
                                              int64_t least = 1);

// What the micro-batches of step 0 say about the gradient.
template <typename T>
struct MicrobatchObserver {
  virtual ~MicrobatchObserver() = default;
  // `segments` hold weight * (mean gradient of the micro-batch), weight = size / batch.
  virtual void Observe(std::span<const GradientSegment<T>> segments, int64_t size,
                       double weight) = 0;
  virtual void Restart() = 0;  // memory ran out on the way: forget what was observed of this batch
};

template <typename T>
class GradientComputer {
 public:
  GradientComputer(Model& model, FlatState<T>& state, DataShape shape);

  // Mean loss over `batch`. Afterwards state.Gradients() is the gradient of that mean loss; with an
  // observer it is that of the last micro-batch alone, weighted, and the observer does the summing.
  // When memory runs out, the whole batch is computed again from the buffers (running statistics)
  // that it began with. kResource when the smallest micro-batch does not fit in memory; kUser when
  // the batch is below the model's MinBatch; kBug for any other failure of the library.
  Result<double> Compute(const Batch& batch, int64_t parts, MicrobatchObserver<T>* observer);

  // The batch [begin, begin + count) as tensors where the model is; on the CPU they borrow its
  // memory.
  [[nodiscard]] TensorBatch View(const Batch& batch, int64_t begin, int64_t count) const;

  // Smallest micro-batch, samples: the model's MinBatch.
  [[nodiscard]] int64_t min_micro_batch() const;
  // Largest micro-batch, samples. `memory_cap` is lowered by itself when memory runs out.
  void set_cap(int64_t cap) { cap_ = cap; }
  [[nodiscard]] int64_t memory_cap() const { return memory_cap_; }
  void set_memory_cap(int64_t cap) { memory_cap_ = cap; }

 private:
  [[nodiscard]] std::vector<int64_t> Split(int64_t batch, int64_t parts) const;
  double ComputeOnce(const Batch& batch, int64_t parts, MicrobatchObserver<T>* observer);

  Model& model_;
  FlatState<T>& state_;
  DataShape shape_;
  int64_t cap_ = INT64_MAX;
  int64_t memory_cap_ = INT64_MAX;
};

// Seeds LibTorch's generator, which dropout draws from.
void SeedDropout(uint64_t seed);

extern template class GradientComputer<float>;
extern template class GradientComputer<double>;

}  // namespace longstride
