#include "runtime/training/flat_state.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "runtime/model/model.h"

namespace longstride {
namespace {

// Appends a place for `named` and returns the elements used so far, rounded up to a cache line.
int64_t AddPlace(const NamedTensor& named, int64_t offset, int64_t element_size,
                 std::vector<TensorPlace>& places) {
  places.push_back({named.name, named.tensor.sizes().vec(), offset, named.tensor.numel()});
  const int64_t line = std::max<int64_t>(1, kCacheLine / element_size);
  return (offset + named.tensor.numel() + line - 1) / line * line;
}

// Copies `tensor` into its place in `flat` and makes it a view of that memory.
template <typename T>
void Move(at::Tensor& tensor, const TensorPlace& place, T* flat) {
  at::NoGradGuard no_grad;
  at::Tensor view = at::from_blob(flat + place.offset, place.shape,
                                  at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value));
  view.copy_(tensor.detach());
  tensor.set_data(view);
}

}  // namespace

template <typename T>
FlatState<T>::FlatState(Model& model) : model_(model) {
  int64_t end = 0;
  for (const NamedTensor& p : model.parameters()) {
    end = AddPlace(p, end, sizeof(T), parameter_places_);
    parameter_count_ += p.tensor.numel();
  }
  parameters_ = AlignedBuffer<T>(end);
  for (size_t i = 0; i < parameter_places_.size(); ++i) {
    Move(model.parameters()[i].tensor, parameter_places_[i], parameters_.data());
  }

  end = 0;
  int64_t integer_end = 0;
  std::vector<at::Tensor> floats;
  for (const NamedTensor& b : model.buffers()) {
    if (b.tensor.is_floating_point()) {
      end = AddPlace(b, end, sizeof(T), buffer_places_);
      floats.push_back(b.tensor);
    } else {
      integer_places_.push_back({b.name, b.tensor.sizes().vec(), integer_end, b.tensor.numel()});
      integer_end += b.tensor.numel();
    }
  }
  buffers_ = AlignedBuffer<T>(end);
  for (size_t i = 0; i < floats.size(); ++i) Move(floats[i], buffer_places_[i], buffers_.data());
}

template <typename T>
std::vector<int64_t> FlatState<T>::ReadIntegers() const {
  std::vector<int64_t> values;
  for (const NamedTensor& b : model_.buffers()) {
    if (b.tensor.is_floating_point()) continue;
    const at::Tensor wide = b.tensor.to(at::kLong).contiguous();
    const int64_t* data = wide.const_data_ptr<int64_t>();
    values.insert(values.end(), data, data + wide.numel());
  }
  return values;
}

template <typename T>
void FlatState<T>::WriteIntegers(std::span<const int64_t> values) {
  at::NoGradGuard no_grad;
  auto next = integer_places_.begin();
  for (const NamedTensor& b : model_.buffers()) {
    if (b.tensor.is_floating_point()) continue;
    const TensorPlace& place = *next++;
    at::Tensor wide = at::empty(place.shape, at::TensorOptions().dtype(at::kLong));
    std::copy_n(values.begin() + place.offset, place.size, wide.mutable_data_ptr<int64_t>());
    b.tensor.copy_(wide);
  }
}

template <typename T>
void FlatState<T>::ClearGradients() {
  segments_.clear();
  for (const NamedTensor& p : model_.parameters()) p.tensor.mutable_grad().reset();
}

template <typename T>
std::span<const GradientSegment<T>> FlatState<T>::Gradients() {
  segments_.clear();
  const auto& parameters = model_.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    at::Tensor& gradient = parameters[i].tensor.mutable_grad();
    if (!gradient.defined()) continue;
    if (!gradient.is_contiguous()) {  // autograd follows the parameter's layout, so this is rare
      at::NoGradGuard no_grad;
      gradient = gradient.contiguous();
    }
    segments_.push_back({parameter_places_[i].offset,
                         {gradient.const_data_ptr<T>(), static_cast<size_t>(gradient.numel())}});
  }
  return segments_;
}

template class FlatState<float>;
template class FlatState<double>;

}  // namespace longstride
