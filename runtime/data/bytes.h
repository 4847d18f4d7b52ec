// Read-only bytes that keep their storage alive: a mapped file, or memory that a decompressor
// filled. Copies share the storage. Every format parser works on these, so that a fuzzer can feed
// them memory.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace longstride::data {

struct Bytes {
  std::shared_ptr<const void> owner;
  std::span<const uint8_t> view;

  [[nodiscard]] size_t size() const { return view.size(); }
  // The `count` bytes from `offset`; both must lie inside.
  [[nodiscard]] Bytes Slice(size_t offset, size_t count) const {
    return {owner, view.subspan(offset, count)};
  }
};

// Maps a regular file. An empty file gives empty bytes. The file must not shrink while it is
// mapped: the kernel answers a read past the new end with SIGBUS. Errors: kUser when the file
// cannot be opened, kData when it is not a regular file.
[[nodiscard]] Result<Bytes> MapFile(const std::string& path);

[[nodiscard]] Bytes OwnBytes(std::vector<uint8_t> bytes);

// Loads at any alignment. The hosts that longstride supports are little-endian.
template <typename T>
[[nodiscard]] inline T LoadLittle(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}
[[nodiscard]] inline uint32_t LoadBig32(const uint8_t* from) {
  return __builtin_bswap32(LoadLittle<uint32_t>(from));
}

// The one form of complaint about a file, a kData error:
// "FILE: byte OFFSET: found FOUND, expected EXPECTED; REMEDY".
[[nodiscard]] Error BrokenFile(std::string_view file, uint64_t offset, std::string_view found,
                               std::string_view expected, std::string_view remedy);

// a * b, or false when the product does not fit.
[[nodiscard]] inline bool MultiplyFits(uint64_t a, uint64_t b, uint64_t* product) {
  return !__builtin_mul_overflow(a, b, product);
}

// A shape as people write it: {60000, 28, 28} -> "[60000, 28, 28]".
[[nodiscard]] std::string ShapeText(std::span<const int64_t> shape);

}  // namespace longstride::data
