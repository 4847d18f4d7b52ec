#include "runtime/training/replica.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/random.h"
#include "runtime/model/model.h"
#include "runtime/training/kernels.h"

namespace longstride {

template <typename T>
Replica<T>::Replica(std::unique_ptr<Model> model, const TrainingSpec& training,
                    const std::string& device)
    : model_(std::move(model)),
      flat_(*model_, device),
      inner_(training.optimizer, static_cast<int64_t>(flat_.parameters().size())),
      on_device_(flat_.on_device()
                     ? std::make_unique<DeviceOptimizer<T>>(training.optimizer, flat_, inner_)
                     : nullptr),
      outer_(training.synchronization.outer, static_cast<int64_t>(flat_.parameters().size())),
      anchor_(static_cast<int64_t>(flat_.parameters().size())),
      saved_inner_(static_cast<int64_t>(inner_.state().size())),
      saved_buffers_(static_cast<int64_t>(flat_.buffers().size())) {}

template <typename T>
Replica<T>::~Replica() = default;

template <typename T>
void Replica<T>::BeginRound() {
  std::ranges::copy(flat_.parameters(), anchor().begin());
  std::ranges::copy(flat_.buffers(), saved_buffers_.span().begin());
  saved_integers_ = flat_.ReadIntegers();
  saved_steps_ = inner_.steps();
  std::ranges::copy(inner_.state(), saved_inner_.span().begin());
}

template <typename T>
void Replica<T>::RestoreModel() {
  std::ranges::copy(anchor(), flat_.parameters().begin());
  std::ranges::copy(saved_buffers_.span(), flat_.buffers().begin());
  flat_.WriteIntegers(saved_integers_);
}

template <typename T>
void Replica<T>::Restore() {
  RestoreModel();
  std::ranges::copy(saved_inner_.span(), inner_.state().begin());
  inner_.set_steps(saved_steps_);
}

template <typename T>
bool Replica<T>::BuffersFinite() const {
  const std::span<const T> now = flat_.buffers(), before = saved_buffers_.span();
  for (size_t i = 0; i < now.size(); ++i) {
    const bool stayed = std::memcmp(&now[i], &before[i], sizeof(T)) == 0;
    if (!stayed && !std::isfinite(now[i])) return false;
  }
  return true;
}

template <typename T>
uint64_t Replica<T>::ModelDigest() const {
  const auto digest = [](std::span<T> values) { return kernels::Digest(std::as_bytes(values)); };
  uint64_t sum = Hash64(digest(flat_.parameters()), digest(flat_.buffers()));
  for (const int64_t value : flat_.ReadIntegers()) sum = Hash64(sum, static_cast<uint64_t>(value));
  return sum;
}

template <typename T>
uint64_t Replica<T>::CommonDigest() const {
  return Hash64(ModelDigest(), kernels::Digest(std::as_bytes(outer_.state())));
}

template class Replica<float>;
template class Replica<double>;

}  // namespace longstride
