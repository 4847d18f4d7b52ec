#include "runtime/data/inflate.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>

#include "runtime/data/bytes.h"

namespace longstride::data {
namespace {

constexpr size_t kChunk = size_t{1} << 20;

// Owns the stream's internal state.
struct Stream {
  z_stream z{};
  bool open = false;
  ~Stream() {
    if (open) inflateEnd(&z);
  }
};

Result<Inflated> Run(std::span<const uint8_t> compressed, DeflateWrapper wrapper, size_t limit,
                     size_t size_hint, const std::string& file) {
  Stream stream;
  const int window = wrapper == DeflateWrapper::kGzip ? MAX_WBITS + 16 : -MAX_WBITS;
  if (inflateInit2(&stream.z, window) != Z_OK) {
    return ResourceError(file + ": no memory to decompress it");
  }
  stream.open = true;

  Inflated out;
  out.bytes.reserve(std::min({limit, size_hint, compressed.size() * kMaxDeflateRatio}));
  while (!out.finished && out.bytes.size() < limit) {
    const size_t before = out.bytes.size();
    const size_t room = std::min(limit - before, kChunk);
    const size_t input =
        std::min<size_t>(compressed.size() - out.consumed, std::numeric_limits<uInt>::max());
    out.bytes.resize(before + room);
    // zlib's interface is older than const; it does not write through next_in.
    stream.z.next_in = const_cast<Bytef*>(compressed.data() + out.consumed);
    stream.z.avail_in = static_cast<uInt>(input);
    stream.z.next_out = out.bytes.data() + before;
    stream.z.avail_out = static_cast<uInt>(room);
    const int code = inflate(&stream.z, Z_NO_FLUSH);
    out.consumed += input - stream.z.avail_in;
    out.bytes.resize(before + room - stream.z.avail_out);
    if (code == Z_STREAM_END) {
      out.finished = true;
    } else if (code == Z_MEM_ERROR) {
      return ResourceError(file + ": no memory to decompress it");
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      return BrokenFile(file, out.consumed,
                        stream.z.msg ? stream.z.msg : "bytes that are not DEFLATE data",
                        "compressed data", "the file is damaged: fetch it again");
    } else if (out.bytes.size() == before && out.consumed == compressed.size()) {
      break;  // the input ends before the stream does
    }
  }
  return out;
}

}  // namespace

Result<Inflated> Inflate(std::span<const uint8_t> compressed, DeflateWrapper wrapper, size_t limit,
                         size_t size_hint, const std::string& file) {
  try {
    return Run(compressed, wrapper, limit, size_hint, file);
  } catch (const std::bad_alloc&) {
    return ResourceError(
        file + ": no memory to decompress it; use the uncompressed file, which is mapped");
  }
}

}  // namespace longstride::data
