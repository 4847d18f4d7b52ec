// All tensors of one worker: the model in flat form, the optimizers, the anchor, and the snapshot
// that a failed round goes back to. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/spec/training_job.h"
#include "runtime/training/aligned_buffer.h"
#include "runtime/training/device_optimizer.h"
#include "runtime/training/flat_state.h"
#include "runtime/training/inner_optimizer.h"
#include "runtime/training/outer_optimizer.h"

namespace longstride {

class Model;

template <typename T>
class Replica {
 public:
  // `device` as of FlatState.
  Replica(std::unique_ptr<Model> model, const TrainingSpec& training,
          const std::string& device = "");
  ~Replica();

  Model& model() { return *model_; }
  FlatState<T>& flat() { return flat_; }
  [[nodiscard]] const FlatState<T>& flat() const { return flat_; }
  InnerOptimizer<T>& inner() { return inner_; }
  [[nodiscard]] const InnerOptimizer<T>& inner() const { return inner_; }
  // Null where the model is in place on the CPU.
  [[nodiscard]] DeviceOptimizer<T>* on_device() const { return on_device_.get(); }
  OuterOptimizer<T>& outer() { return outer_; }
  [[nodiscard]] std::span<T> anchor() const { return anchor_.span(); }  // w_k
  [[nodiscard]] int64_t size() const { return anchor_.size(); }         // of the flat parameters

  // A round begins at the present parameters: keeps what Restore needs.
  void BeginRound();
  // As if the round had not begun.
  void Restore();
  // Parameters and buffers alone, back to the anchor's.
  void RestoreModel();

  // Whether the buffers that this round changed are finite. Those that stayed may hold anything, as
  // the infinities of an attention mask do.
  [[nodiscard]] bool BuffersFinite() const;

  // Digest of parameters and buffers: equal on two workers if and (but for chance) only if all bits
  // are.
  [[nodiscard]] uint64_t ModelDigest() const;
  // ModelDigest with the outer optimizer's velocity.
  [[nodiscard]] uint64_t CommonDigest() const;

 private:
  std::unique_ptr<Model> model_;
  FlatState<T> flat_;
  InnerOptimizer<T> inner_;
  std::unique_ptr<DeviceOptimizer<T>> on_device_;
  OuterOptimizer<T> outer_;
  AlignedBuffer<T> anchor_;
  AlignedBuffer<T> saved_inner_;
  AlignedBuffer<T> saved_buffers_;
  std::vector<int64_t> saved_integers_;
  int64_t saved_steps_ = 0;
};

extern template class Replica<float>;
extern template class Replica<double>;

}  // namespace longstride
