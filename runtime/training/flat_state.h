// A model's parameters and float buffers as two contiguous flat vectors in host memory, so that
// everything between rounds is a loop over a span. T is the model's dtype (float or double). Each
// tensor starts on a cache line; the gaps hold zeros forever.
//
// On the CPU the model's tensors become views of the flat vectors. On a device they move there, and
// the flat vectors are what the workers average: ToDevice brings them to the model before its local
// steps, ToHost back after them; in place, both do nothing.
//
// Must outlive the model's use. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/training/aligned_buffer.h"
#include "runtime/training/inner_optimizer.h"

namespace at {
class Tensor;
}

namespace longstride {

class Model;

// Where a named tensor lies in its flat vector.
struct TensorPlace {
  std::string name;
  std::vector<int64_t> shape;
  int64_t offset = 0;  // elements
  int64_t size = 0;
};

template <typename T>
class FlatState {
 public:
  // Moves the tensors of `model`, CPU tensors of dtype T, contiguous or not. `device`: "" = in
  // place, otherwise a device of LibTorch ("cuda:0"; "cpu" is one like any other, for tests).
  explicit FlatState(Model& model, const std::string& device = "");
  ~FlatState();

  [[nodiscard]] std::span<T> parameters() const { return parameters_.span(); }
  [[nodiscard]] std::span<T> buffers() const { return buffers_.span(); }
  [[nodiscard]] const std::vector<TensorPlace>& parameter_places() const {
    return parameter_places_;
  }
  [[nodiscard]] const std::vector<TensorPlace>& buffer_places() const { return buffer_places_; }
  // Elements of all parameters, gaps not counted.
  [[nodiscard]] int64_t parameter_count() const { return parameter_count_; }

  // Integer and boolean buffers (BatchNorm's step counts) stay where they are; their values one
  // after the other, offsets counted in elements.
  [[nodiscard]] const std::vector<TensorPlace>& integer_places() const { return integer_places_; }
  [[nodiscard]] std::vector<int64_t> ReadIntegers() const;
  void WriteIntegers(std::span<const int64_t> values);

  // Keeps the buffers that the model computes with, integers included, in place of those kept
  // before, and puts them back.
  void KeepBuffers();
  void RestoreBuffers();

  // Drops the gradients, so that the next backward pass hands over its own memory instead of
  // adding.
  void ClearGradients();
  // The gradients where backward left them (from a device: copies), in order of offset; valid until
  // the next backward pass or ClearGradients. Parameters that the loss does not reach have none.
  [[nodiscard]] std::span<const GradientSegment<T>> Gradients();
  // Gives the model these gradients instead, for a step on its device.
  void SetGradients(std::span<const GradientSegment<T>> gradients);

  [[nodiscard]] bool on_device() const { return mirror_ != nullptr; }
  void ToDevice();
  void ToHost();
  // A CPU tensor where the model can use it.
  [[nodiscard]] at::Tensor Placed(const at::Tensor& tensor) const;
  [[nodiscard]] Model& model() { return model_; }

 private:
  struct Mirror;

  Model& model_;
  AlignedBuffer<T> parameters_;
  AlignedBuffer<T> buffers_;
  std::vector<TensorPlace> parameter_places_;
  std::vector<TensorPlace> buffer_places_;
  std::vector<TensorPlace> integer_places_;
  std::vector<GradientSegment<T>> segments_;
  std::vector<T> kept_buffers_;  // in place
  std::vector<int64_t> kept_integers_;
  int64_t parameter_count_ = 0;
  std::unique_ptr<Mirror> mirror_;  // null: in place
};

extern template class FlatState<float>;
extern template class FlatState<double>;

}  // namespace longstride
