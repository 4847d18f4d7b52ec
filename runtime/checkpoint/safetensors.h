// The safetensors format (github.com/huggingface/safetensors): a 64-bit little-endian header
// length, a JSON object of tensors {"name": {"dtype", "shape", "data_offsets": [begin, end]}}, then
// their bytes. Element types F32, F64, I64 and U8.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "runtime/data/bytes.h"

namespace longstride::checkpoint {

enum class TensorType { kFloat32, kFloat64, kInt64, kUint8 };
[[nodiscard]] size_t ElementSize(TensorType type);
[[nodiscard]] const char* TypeName(TensorType type);  // "F32", ...

// A tensor somewhere in memory, C order. `data` holds the product of `shape` elements.
struct TensorView {
  std::string name;
  TensorType type = TensorType::kFloat32;
  std::vector<int64_t> shape;
  std::span<const uint8_t> data;
};

// The same with memory of its own.
struct OwnedTensor {
  std::string name;
  TensorType type = TensorType::kFloat32;
  std::vector<int64_t> shape;
  std::vector<uint8_t> data;

  [[nodiscard]] TensorView View() const { return {name, type, shape, data}; }
};
// Copies `bytes` bytes from `data`.
[[nodiscard]] OwnedTensor CopyTensor(std::string name, TensorType type, std::vector<int64_t> shape,
                                     const void* data, size_t bytes);

// Takes the next bytes of a file.
using Sink = std::function<Status(std::span<const uint8_t>)>;

// Streams the file to `sink`, the tensors ordered so that each is aligned to its element (largest
// elements first, else as given). kBug error for a repeated name, the name "__metadata__", or data
// whose size is not that of the shape; otherwise the sink's error.
[[nodiscard]] Status WriteSafetensors(std::span<const TensorView> tensors, const Sink& sink);

// A parsed file. Views point into the bytes that it keeps, and may lie at any alignment.
class Safetensors {
 public:
  // Checks all of it: header length, JSON, types, shapes, and that offsets cover the data exactly,
  // each byte once. A broken file is a kData error naming `name` and the byte offset.
  [[nodiscard]] static Result<Safetensors> Parse(const data::Bytes& file, const std::string& name);
  // Maps the file and parses it.
  [[nodiscard]] static Result<Safetensors> Open(const std::string& path);

  // By name.
  [[nodiscard]] const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  // The tensor of that name, type and shape; a kData error that says what the file has instead.
  [[nodiscard]] Result<TensorView> Find(const std::string& name, TensorType type,
                                        std::span<const int64_t> shape) const;

 private:
  data::Bytes file_;
  std::string name_;
  std::map<std::string, TensorView> tensors_;
};

}  // namespace longstride::checkpoint
