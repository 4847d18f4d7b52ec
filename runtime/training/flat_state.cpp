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

template <typename T>
at::Tensor Wrap(std::span<T> values, at::IntArrayRef shape) {
  return at::from_blob(values.data(), shape,
                       at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value));
}

template <typename T>
at::Tensor Wrap(const AlignedBuffer<T>& buffer) {
  return Wrap(buffer.span(), {buffer.size()});
}

// Copies `tensor` into its place in `flat` and makes it a view of that memory.
template <typename T>
void Move(at::Tensor& tensor, const TensorPlace& place, const AlignedBuffer<T>& flat) {
  at::NoGradGuard no_grad;
  const at::Tensor view =
      Wrap(flat.span().subspan(static_cast<size_t>(place.offset), static_cast<size_t>(place.size)),
           place.shape);
  view.copy_(tensor.detach());
  tensor.set_data(view);
}

void MoveToDevice(at::Tensor& tensor, const TensorPlace& place, const at::Tensor& flat) {
  at::NoGradGuard no_grad;
  tensor.set_data(flat.narrow(0, place.offset, place.size).view(place.shape));
}

}  // namespace

template <typename T>
struct FlatState<T>::Mirror {
  at::Tensor parameters;  // flat, on the device
  at::Tensor buffers, kept_buffers;
  AlignedBuffer<T> gradients;  // on the host, for Gradients; made when asked for
};

template <typename T>
FlatState<T>::FlatState(Model& model, const std::string& device) : model_(model) {
  int64_t end = 0;
  for (const NamedTensor& p : model.parameters()) {
    end = AddPlace(p, end, sizeof(T), parameter_places_);
    parameter_count_ += p.tensor.numel();
  }
  parameters_ = AlignedBuffer<T>(end);
  for (size_t i = 0; i < parameter_places_.size(); ++i) {
    Move(model.parameters()[i].tensor, parameter_places_[i], parameters_);
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
  for (size_t i = 0; i < floats.size(); ++i) Move(floats[i], buffer_places_[i], buffers_);

  if (device.empty()) return;
  mirror_ = std::make_unique<Mirror>();
  const at::Device target(device);
  const auto copy = [&](const AlignedBuffer<T>& flat) {
    return Wrap(flat).to(target, /*non_blocking=*/false, /*copy=*/true);
  };
  mirror_->parameters = copy(parameters_);
  mirror_->buffers = copy(buffers_);
  mirror_->kept_buffers = copy(buffers_);
  for (size_t i = 0; i < parameter_places_.size(); ++i)
    MoveToDevice(model.parameters()[i].tensor, parameter_places_[i], mirror_->parameters);
  for (size_t i = 0; i < floats.size(); ++i)
    MoveToDevice(floats[i], buffer_places_[i], mirror_->buffers);
  for (NamedTensor& b : model.buffers()) {
    if (!b.tensor.is_floating_point()) b.tensor.set_data(b.tensor.to(target));
  }
}

template <typename T>
FlatState<T>::~FlatState() = default;

template <typename T>
void FlatState<T>::ToDevice() {
  if (!mirror_) return;
  at::NoGradGuard no_grad;
  mirror_->parameters.copy_(Wrap(parameters_));
  mirror_->buffers.copy_(Wrap(buffers_));
}

template <typename T>
void FlatState<T>::ToHost() {
  if (!mirror_) return;
  at::NoGradGuard no_grad;
  Wrap(parameters_).copy_(mirror_->parameters);
  Wrap(buffers_).copy_(mirror_->buffers);
}

template <typename T>
at::Tensor FlatState<T>::Placed(const at::Tensor& tensor) const {
  return mirror_ ? tensor.to(mirror_->parameters.device()) : tensor;
}

template <typename T>
std::vector<int64_t> FlatState<T>::ReadIntegers() const {
  std::vector<int64_t> values;
  for (const NamedTensor& b : model_.buffers()) {
    if (b.tensor.is_floating_point()) continue;
    const at::Tensor wide = b.tensor.to(at::kCPU, at::kLong).contiguous();
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
void FlatState<T>::KeepBuffers() {
  at::NoGradGuard no_grad;
  kept_integers_ = ReadIntegers();
  if (mirror_) {
    mirror_->kept_buffers.copy_(mirror_->buffers);
  } else {
    kept_buffers_.assign(buffers().begin(), buffers().end());
  }
}

template <typename T>
void FlatState<T>::RestoreBuffers() {
  at::NoGradGuard no_grad;
  WriteIntegers(kept_integers_);
  if (mirror_) {
    mirror_->buffers.copy_(mirror_->kept_buffers);
  } else {
    std::ranges::copy(kept_buffers_, buffers().begin());
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
    const auto size = static_cast<size_t>(gradient.numel());
    at::NoGradGuard no_grad;
    if (mirror_) {
      if (mirror_->gradients.size() == 0) mirror_->gradients = AlignedBuffer<T>(parameters_.size());
      const std::span<T> copy =
          mirror_->gradients.span().subspan(static_cast<size_t>(parameter_places_[i].offset), size);
      Wrap(copy, parameter_places_[i].shape).copy_(gradient);
      segments_.push_back({parameter_places_[i].offset, copy});
      continue;
    }
    // Autograd follows the parameter's layout, so this is rare.
    if (!gradient.is_contiguous()) gradient = gradient.contiguous();
    segments_.push_back({parameter_places_[i].offset, {gradient.const_data_ptr<T>(), size}});
  }
  return segments_;
}

template <typename T>
void FlatState<T>::SetGradients(std::span<const GradientSegment<T>> gradients) {
  at::NoGradGuard no_grad;
  ClearGradients();
  const auto& parameters = model_.parameters();
  auto segment = gradients.begin();
  for (size_t i = 0; i < parameters.size() && segment != gradients.end(); ++i) {
    if (segment->offset != parameter_places_[i].offset) continue;
    // A tensor knows no const; it is only read.
    const std::span<T> values(const_cast<T*>(segment->gradient.data()), segment->gradient.size());
    parameters[i].tensor.mutable_grad() =
        Wrap(values, parameter_places_[i].shape)
            .to(parameters[i].tensor.device(), /*non_blocking=*/false, /*copy=*/true);
    ++segment;
  }
}

template class FlatState<float>;
template class FlatState<double>;

}  // namespace longstride
