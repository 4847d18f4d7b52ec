#include "runtime/training/gradient.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string_view>

#include "core/base/format.h"
#include "core/base/log.h"
#include "runtime/model/model.h"

namespace longstride {

bool IsOutOfMemory(const std::exception& e) {
  if (dynamic_cast<const std::bad_alloc*>(&e) || dynamic_cast<const c10::OutOfMemoryError*>(&e))
    return true;
  // The CPU allocator of LibTorch throws a plain c10::Error.
  const std::string_view what = e.what();
  return what.find("not enough memory") != std::string_view::npos ||
         what.find("can't allocate memory") != std::string_view::npos;
}

std::vector<int64_t> SplitBatch(int64_t batch, int64_t parts, int64_t cap, int64_t least) {
  cap = std::clamp<int64_t>(cap, 1, std::max<int64_t>(1, batch));
  const int64_t most = batch < least ? std::min<int64_t>(1, batch) : batch / least;
  parts = std::min(most, std::max(parts, (batch + cap - 1) / cap));
  std::vector<int64_t> sizes;
  for (int64_t i = 0; i < parts; ++i) sizes.push_back(batch / parts + (i < batch % parts ? 1 : 0));
  return sizes;
}

template <typename T>
GradientComputer<T>::GradientComputer(Model& model, FlatState<T>& state, DataShape shape)
    : model_(model), state_(state), shape_(std::move(shape)) {}

template <typename T>
int64_t GradientComputer<T>::min_micro_batch() const {
  return model_.MinBatch();
}

template <typename T>
std::vector<int64_t> GradientComputer<T>::Split(int64_t batch, int64_t parts) const {
  return SplitBatch(batch, parts, std::min(cap_, memory_cap_), min_micro_batch());
}

template <typename T>
TensorBatch GradientComputer<T>::View(const Batch& batch, int64_t begin, int64_t count) const {
  // from_blob wants a mutable pointer; the tensors are only read.
  // A device gets a copy.
  const auto wrap = [&](const auto& values, std::vector<int64_t> sample, at::ScalarType type) {
    sample.insert(sample.begin(), batch.size);
    void* data = const_cast<void*>(static_cast<const void*>(values.data()));
    at::Tensor whole = at::from_blob(data, sample, at::TensorOptions().dtype(type));
    return state_.Placed(count == batch.size ? whole : whole.narrow(0, begin, count));
  };
  const auto as_real = [](const at::Tensor& tensor) {
    return tensor.to(c10::CppTypeToScalarType<T>::value);
  };
  TensorBatch view;
  view.features = shape_.tokens ? wrap(batch.ids, shape_.features, at::kLong)
                                : as_real(wrap(batch.floats, shape_.features, at::kFloat));
  if (shape_.tokens) {
    view.target = wrap(batch.labels, shape_.features, at::kLong);
  } else if (shape_.classes > 0) {
    view.target = wrap(batch.labels, {}, at::kLong);
  } else {
    view.target = as_real(wrap(batch.targets, {shape_.outputs}, at::kFloat));
  }
  return view;
}

template <typename T>
double GradientComputer<T>::ComputeOnce(const Batch& batch, int64_t parts,
                                        MicrobatchObserver<T>* observer) {
  double mean_loss = 0;
  int64_t begin = 0;
  state_.ClearGradients();
  for (const int64_t size : Split(batch.size, parts)) {
    const double weight = static_cast<double>(size) / static_cast<double>(batch.size);
    const TensorBatch view = View(batch, begin, size);
    const at::Tensor loss = model_.Loss(model_.Forward(view.features), view.target);
    if (size == batch.size) {
      loss.backward();
    } else {
      loss.backward(at::full_like(loss.detach(), weight));
    }
    mean_loss += weight * loss.item<double>();
    if (observer) {
      observer->Observe(state_.Gradients(), size, weight);
      if (begin + size < batch.size) state_.ClearGradients();
    }
    begin += size;
  }
  return mean_loss;
}

template <typename T>
Result<double> GradientComputer<T>::Compute(const Batch& batch, int64_t parts,
                                            MicrobatchObserver<T>* observer) {
  if (batch.size > 0 && batch.size < min_micro_batch()) {
    return UserError(
        Format("the model's batch normalization cannot train on a local batch of %ld: set "
               "workers[].batch.min to at least %ld",
               batch.size, min_micro_batch()));
  }
  state_.KeepBuffers();
  while (true) {
    try {
      return ComputeOnce(batch, parts, observer);
    } catch (const std::exception& e) {
      state_.ClearGradients();
      state_.RestoreBuffers();
      if (!IsOutOfMemory(e))
        return BugError(Format("forward or backward pass failed: %s", e.what()));
      const int64_t tried = Split(batch.size, parts).front();
      memory_cap_ = (tried + 1) / 2;
      if (Split(batch.size, parts).front() == tried) {
        return ResourceError(Format(
            "%s in memory: use a smaller model",
            tried == 1 ? "one sample does not fit" : "the smallest micro-batch does not fit"));
      }
      if (observer) observer->Restart();
      LogWarning("training",
                 Format("out of memory with a micro-batch of %ld samples; going on with %ld", tried,
                        memory_cap_));
    }
  }
}

void SeedDropout(uint64_t seed) {
  at::manual_seed(seed);
}

template class GradientComputer<float>;
template class GradientComputer<double>;

}  // namespace longstride
