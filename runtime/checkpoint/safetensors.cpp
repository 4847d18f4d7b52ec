#include "runtime/checkpoint/safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "core/base/format.h"

namespace longstride::checkpoint {
namespace {

using data::BrokenFile;
using nlohmann::json;

constexpr uint64_t kMaxHeader = 100'000'000;  // as the reference implementation
constexpr const char* kMetadata = "__metadata__";
constexpr const char* kDamaged = "the file is damaged or was not written by safetensors";
constexpr std::pair<const char*, TensorType> kTypes[] = {{"F32", TensorType::kFloat32},
                                                         {"F64", TensorType::kFloat64},
                                                         {"I64", TensorType::kInt64},
                                                         {"U8", TensorType::kUint8}};

// False when the product does not fit.
bool ByteSize(TensorType type, std::span<const int64_t> shape, uint64_t* bytes) {
  *bytes = ElementSize(type);
  for (int64_t extent : shape) {
    if (extent < 0 || !data::MultiplyFits(*bytes, static_cast<uint64_t>(extent), bytes))
      return false;
  }
  return true;
}

// The header, or nothing when it is not JSON, nests deeper than a header does, or repeats a key.
std::optional<json> ParseHeader(std::string_view text, std::string* fault) {
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start && depth <= 3) {
      keys.resize(static_cast<size_t>(depth) + 1);
      keys.back().clear();
    }
    if (depth > 3 && fault->empty()) *fault = "JSON nested deeper than three levels";
    if (event == json::parse_event_t::key && depth <= 3 &&
        !keys[static_cast<size_t>(depth) - 1].insert(parsed.get<std::string>()).second) {
      *fault = "the key " + parsed.dump(-1, ' ', true, json::error_handler_t::replace) + " twice";
    }
    return depth <= 3;  // false drops the value, so depth costs no memory
  };
  json header = json::parse(text, watch, false);
  if (!fault->empty()) return std::nullopt;
  if (header.is_discarded() || !header.is_object()) {
    *fault = "text that is no JSON object";
    return std::nullopt;
  }
  return header;
}

// One entry of the header. `begin` and `end` are its data_offsets.
struct Entry {
  TensorView tensor;
  uint64_t begin = 0;
  uint64_t end = 0;
};

bool IsNatural(const json& value) {
  return value.is_number_unsigned() && value.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX);
}

Result<Entry> ReadEntry(const std::string& key, const json& value, const std::string& file) {
  const auto fault = [&](const std::string& found, const std::string& expected) {
    return BrokenFile(file, 8, found + " for tensor '" + key + "'", expected, kDamaged);
  };
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
      !value.contains("shape") || !value.contains("data_offsets")) {
    return fault("an entry", "an object of dtype, shape and data_offsets");
  }
  Entry entry;
  entry.tensor.name = key;
  const json& dtype = value["dtype"];
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const auto& t) { return dtype == t.first; });
  if (type == std::end(kTypes)) {
    return BrokenFile(file, 8,
                      "dtype " +
                          dtype.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 40) +
                          " for tensor '" + key + "'",
                      "F32, F64, I64 or U8", "convert the tensor to one of these types");
  }
  entry.tensor.type = type->second;
  const json& shape = value["shape"];
  if (!shape.is_array() || !std::all_of(shape.begin(), shape.end(), IsNatural)) {
    return fault("a shape", "an array of whole numbers from 0");
  }
  for (const json& extent : shape) entry.tensor.shape.push_back(extent.get<int64_t>());
  const json& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !IsNatural(offsets[0]) ||
      !IsNatural(offsets[1])) {
    return fault("data_offsets", "two whole numbers from 0");
  }
  entry.begin = offsets[0].get<uint64_t>();
  entry.end = offsets[1].get<uint64_t>();
  uint64_t bytes = 0;
  const bool fits = ByteSize(entry.tensor.type, entry.tensor.shape, &bytes);
  if (!fits || entry.end < entry.begin || entry.end - entry.begin != bytes) {
    return fault(Format("data_offsets [%llu, %llu]", static_cast<unsigned long long>(entry.begin),
                        static_cast<unsigned long long>(entry.end)),
                 (fits ? std::to_string(bytes) : "an impossible number of") + " bytes for shape " +
                     data::ShapeText(entry.tensor.shape) + " of " + type->first);
  }
  return entry;
}

// Sorted by offset, entries must follow each other without gap or overlap and fill `size` bytes.
Status CheckCover(std::vector<Entry>& entries, uint64_t start, uint64_t size,
                  const std::string& file) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t at = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != at) {
      return BrokenFile(
          file, 8,
          Format("tensor '%s' at data offset %llu", entry.tensor.name.c_str(),
                 static_cast<unsigned long long>(entry.begin)),
          Format("%llu, where the one before it ends", static_cast<unsigned long long>(at)),
          kDamaged);
    }
    at = entry.end;
  }
  if (at != size) {
    return BrokenFile(file, start + std::min(at, size),
                      Format("%llu bytes of data", static_cast<unsigned long long>(size)),
                      Format("%llu as its header says", static_cast<unsigned long long>(at)),
                      "the file is cut short or too long");
  }
  return {};
}

}  // namespace

size_t ElementSize(TensorType type) {
  switch (type) {
    case TensorType::kFloat32:
      return 4;
    case TensorType::kFloat64:
    case TensorType::kInt64:
      return 8;
    case TensorType::kUint8:
      return 1;
  }
  return 0;
}

const char* TypeName(TensorType type) {
  for (const auto& [name, value] : kTypes) {
    if (value == type) return name;
  }
  return "?";
}

OwnedTensor CopyTensor(std::string name, TensorType type, std::vector<int64_t> shape,
                       const void* data, size_t bytes) {
  const auto* first = static_cast<const uint8_t*>(data);
  return {std::move(name), type, std::move(shape), {first, first + bytes}};
}

Status WriteSafetensors(std::span<const TensorView> tensors, const Sink& sink) {
  std::vector<const TensorView*> order;
  for (const TensorView& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const TensorView* a, const TensorView* b) {
    return ElementSize(a->type) > ElementSize(b->type);
  });
  json header = json::object();
  uint64_t at = 0;
  for (const TensorView* tensor : order) {
    uint64_t bytes = 0;
    if (!ByteSize(tensor->type, tensor->shape, &bytes) || bytes != tensor->data.size() ||
        tensor->name == kMetadata || header.contains(tensor->name)) {
      return BugError(
          Format("safetensors: tensor '%s' of %zu bytes repeats a name or does not fit its "
                 "shape %s of %s",
                 tensor->name.c_str(), tensor->data.size(), data::ShapeText(tensor->shape).c_str(),
                 TypeName(tensor->type)));
    }
    header[tensor->name] = {{"dtype", TypeName(tensor->type)},
                            {"shape", tensor->shape},
                            {"data_offsets", {at, at + bytes}}};
    at += bytes;
  }
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data begins aligned
  const uint64_t length = text.size();
  std::string start(reinterpret_cast<const char*>(&length), 8);
  start += text;
  LONGSTRIDE_RETURN_IF_ERROR(sink({reinterpret_cast<const uint8_t*>(start.data()), start.size()}));
  for (const TensorView* tensor : order) {
    if (!tensor->data.empty()) LONGSTRIDE_RETURN_IF_ERROR(sink(tensor->data));
  }
  return {};
}

Result<Safetensors> Safetensors::Parse(const data::Bytes& file, const std::string& name) {
  if (file.size() < 8) {
    return BrokenFile(name, file.size(), "the end of the file", "a header length of 8 bytes",
                      kDamaged);
  }
  const auto length = data::LoadLittle<uint64_t>(file.view.data());
  if (length > kMaxHeader || length > file.size() - 8) {
    return BrokenFile(name, 0,
                      Format("a header of %llu bytes", static_cast<unsigned long long>(length)),
                      Format("at most %zu, what is left of the file",
                             std::min<size_t>(file.size() - 8, kMaxHeader)),
                      "the file is cut short or no safetensors file");
  }
  std::string fault;
  const std::optional<json> header =
      ParseHeader({reinterpret_cast<const char*>(file.view.data()) + 8, length}, &fault);
  if (!header) return BrokenFile(name, 8, fault, "the JSON object of a header", kDamaged);

  std::vector<Entry> entries;
  for (const auto& [key, value] : header->items()) {
    if (key == kMetadata) continue;
    LONGSTRIDE_ASSIGN_OR_RETURN(Entry entry, ReadEntry(key, value, name));
    entries.push_back(std::move(entry));
  }
  const uint64_t start = 8 + length;
  LONGSTRIDE_RETURN_IF_ERROR(CheckCover(entries, start, file.size() - start, name));

  Safetensors out;
  out.file_ = file;
  out.name_ = name;
  for (Entry& entry : entries) {
    entry.tensor.data = file.view.subspan(start + entry.begin, entry.end - entry.begin);
    out.tensors_.emplace(entry.tensor.name, std::move(entry.tensor));
  }
  return out;
}

Result<Safetensors> Safetensors::Open(const std::string& path) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const data::Bytes file, data::MapFile(path));
  return Parse(file, path);
}

Result<TensorView> Safetensors::Find(const std::string& name, TensorType type,
                                     std::span<const int64_t> shape) const {
  const auto found = tensors_.find(name);
  const std::string wanted =
      "tensor '" + name + "' of " + TypeName(type) + " " + data::ShapeText(shape);
  if (found == tensors_.end()) {
    return DataError(name_ + ": no " + wanted + "; the file belongs to another model or optimizer");
  }
  const TensorView& tensor = found->second;
  if (tensor.type != type ||
      !std::equal(shape.begin(), shape.end(), tensor.shape.begin(), tensor.shape.end())) {
    return DataError(name_ + ": found " + TypeName(tensor.type) + " " +
                     data::ShapeText(tensor.shape) + ", expected " + wanted +
                     "; the file belongs to another model or optimizer");
  }
  return tensor;
}

}  // namespace longstride::checkpoint
