// A fixed-size array of zeros aligned to a cache line, for the flat vectors of the round engine.
// Owns its memory; moves, does not copy. Running out of memory throws std::bad_alloc, which the
// engine's border turns into kResource.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>

namespace longstride {

inline constexpr int64_t kCacheLine = 64;  // bytes

template <typename T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(int64_t size) : size_(size) {
    if (size == 0) return;
    const int64_t bytes = size * static_cast<int64_t>(sizeof(T));
    const int64_t rounded = (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
    data_.reset(static_cast<T*>(std::aligned_alloc(kCacheLine, static_cast<size_t>(rounded))));
    if (!data_) throw std::bad_alloc();
    std::memset(data_.get(), 0, static_cast<size_t>(rounded));
  }

  [[nodiscard]] T* data() const { return data_.get(); }
  [[nodiscard]] int64_t size() const { return size_; }
  [[nodiscard]] std::span<T> span() const { return {data_.get(), static_cast<size_t>(size_)}; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  int64_t size_ = 0;
};

}  // namespace longstride
