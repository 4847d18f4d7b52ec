// Bounded decompression of DEFLATE data [RFC 1951, 1952] over zlib.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace longstride::data {

enum class DeflateWrapper { kGzip, kRaw };

struct Inflated {
  std::vector<uint8_t> bytes;  // at most the limit asked for
  bool finished = false;       // the stream came to its end, and its checksum (gzip) is right
  size_t consumed = 0;         // compressed bytes read
};

// DEFLATE cannot expand by more than this factor, so a size that needs more is known to be a lie
// before anything is allocated.
inline constexpr uint64_t kMaxDeflateRatio = 1032;

// Decompresses until the stream ends, the input ends, or `limit` bytes are out. `size_hint` bytes
// are reserved (never more than the ratio allows). A stream that is not DEFLATE, or whose checksum
// is wrong, gives a kData error naming `file` and the byte of the compressed input.
[[nodiscard]] Result<Inflated> Inflate(std::span<const uint8_t> compressed, DeflateWrapper wrapper,
                                       size_t limit, size_t size_hint, const std::string& file);

}  // namespace longstride::data
