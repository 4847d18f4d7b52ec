#include "runtime/data/npy.h"

#include <charconv>
#include <optional>

#include "core/base/format.h"

namespace longstride::data {
namespace {

constexpr size_t kMaxHeader = 65536;
constexpr size_t kMaxRank = 8;

// The header is a Python dictionary literal with three known keys; nothing else is a header.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, uint64_t offset, const std::string& name)
      : text_(text), offset_(offset), name_(name) {}

  Status Parse(NpyArray* array) {
    bool seen_type = false;
    bool seen_order = false;
    bool seen_shape = false;
    LONGSTRIDE_RETURN_IF_ERROR(Expect('{'));
    while (!Accept('}')) {
      const size_t at = Skip();
      LONGSTRIDE_ASSIGN_OR_RETURN(const std::string_view key, String());
      LONGSTRIDE_RETURN_IF_ERROR(Expect(':'));
      bool* seen = key == "descr"           ? &seen_type
                   : key == "fortran_order" ? &seen_order
                   : key == "shape"         ? &seen_shape
                                            : nullptr;
      if (seen == nullptr || *seen) {
        return Fault(at, "key '" + Printable(key) + "'",
                     "descr, fortran_order and shape, each once");
      }
      *seen = true;
      LONGSTRIDE_RETURN_IF_ERROR(seen == &seen_type    ? Type(array)
                                 : seen == &seen_order ? Order()
                                                       : Shape(array));
      if (!Accept(',')) {
        LONGSTRIDE_RETURN_IF_ERROR(Expect('}'));
        break;
      }
    }
    if (Skip() != text_.size()) return Fault(at_, "more text", "the end of the header");
    if (!seen_type || !seen_order || !seen_shape) {
      return Fault(0, "a header without descr, fortran_order or shape", "all three");
    }
    return {};
  }

 private:
  static std::string Printable(std::string_view text) {
    std::string out;
    for (char c : text.substr(0, 40)) out += c >= 0x20 && c < 0x7f ? c : '?';
    return out;
  }

  [[nodiscard]] Error Fault(size_t at, const std::string& found,
                            const std::string& expected) const {
    return BrokenFile(name_, offset_ + at, found, expected,
                      "save the array again with numpy.save as a C-ordered, little-endian array");
  }

  size_t Skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_;
  }
  bool Accept(char c) {
    if (Skip() >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  Status Expect(char c) {
    if (Accept(c)) return {};
    return Fault(at_, at_ < text_.size() ? "'" + Printable(text_.substr(at_, 1)) + "'" : "the end",
                 std::string("'") + c + "' in the header");
  }
  Result<std::string_view> String() {
    const char quote = Accept('"') ? '"' : '\'';
    if (quote == '\'') LONGSTRIDE_RETURN_IF_ERROR(Expect('\''));
    const size_t close = text_.find(quote, at_);
    if (close == std::string_view::npos) return Fault(at_, "no closing quote", "a quoted string");
    const std::string_view value = text_.substr(at_, close - at_);
    at_ = close + 1;
    return value;
  }
  bool Word(std::string_view word) {
    Skip();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Status Type(NpyArray* array) {
    static constexpr std::pair<std::string_view, ElementType> kTypes[] = {
        {"|u1", ElementType::kUint8},   {"<i4", ElementType::kInt32},
        {"<i8", ElementType::kInt64},   {"<f4", ElementType::kFloat32},
        {"<f8", ElementType::kFloat64},
    };
    const size_t at = Skip();
    if (at < text_.size() && text_[at] == '[') {
      return Fault(at, "a structured type", "'|u1', '<i4', '<i8', '<f4' or '<f8'");
    }
    LONGSTRIDE_ASSIGN_OR_RETURN(const std::string_view type, String());
    for (const auto& [code, element] : kTypes) {
      if (type != code) continue;
      array->type = element;
      return {};
    }
    return Fault(at, "type '" + Printable(type) + "'", "'|u1', '<i4', '<i8', '<f4' or '<f8'");
  }

  Status Order() {
    const size_t at = Skip();
    if (Word("False")) return {};
    return Fault(at, Word("True") ? "Fortran order" : "no truth value", "fortran_order: False");
  }

  Status Shape(NpyArray* array) {
    LONGSTRIDE_RETURN_IF_ERROR(Expect('('));
    while (!Accept(')')) {
      const size_t at = Skip();
      int64_t extent = -1;
      const char* end = text_.data() + text_.size();
      const auto [next, fault] = std::from_chars(text_.data() + at, end, extent);
      if (fault != std::errc() || extent < 0 || array->shape.size() == kMaxRank) {
        return Fault(at, "'" + Printable(text_.substr(at, 12)) + "' in shape",
                     Format("at most %zu whole numbers from 0", kMaxRank));
      }
      array->shape.push_back(extent);
      at_ = static_cast<size_t>(next - text_.data());
      if (!Accept(',')) {
        LONGSTRIDE_RETURN_IF_ERROR(Expect(')'));
        break;
      }
    }
    return {};
  }

  std::string_view text_;
  uint64_t offset_;  // of the text in the file
  const std::string& name_;
  size_t at_ = 0;
};

}  // namespace

Result<NpyArray> ParseNpy(const Bytes& file, const std::string& name) {
  const uint8_t* data = file.view.data();
  static constexpr char kMagic[] = "\x93NUMPY";
  if (file.size() < 10 || std::memcmp(data, kMagic, 6) != 0) {
    return BrokenFile(name, 0, file.size() < 10 ? "a file below 10 bytes" : "another file type",
                      "\\x93NUMPY", "save the array with numpy.save");
  }
  const int version = data[6];
  if (version < 1 || version > 3 || data[7] != 0) {
    return BrokenFile(name, 6, Format("format version %d.%d", version, static_cast<int>(data[7])),
                      "1.0, 2.0 or 3.0", "save the array again with numpy.save");
  }
  const size_t prefix = version == 1 ? 10 : 12;
  uint64_t header_size = LoadLittle<uint16_t>(data + 8);
  if (version > 1) header_size = file.size() < 12 ? kMaxHeader + 1 : LoadLittle<uint32_t>(data + 8);
  if (header_size > kMaxHeader || file.size() - prefix < header_size) {
    return BrokenFile(name, 8, Format("a header of %zu bytes", static_cast<size_t>(header_size)),
                      Format("at most %zu and within a file of %zu bytes", kMaxHeader, file.size()),
                      "the file is damaged or cut short: save the array again");
  }
  NpyArray array;
  const std::string_view text(reinterpret_cast<const char*>(data) + prefix, header_size);
  LONGSTRIDE_RETURN_IF_ERROR(HeaderParser(text, prefix, name).Parse(&array));

  array.data_offset = prefix + header_size;
  uint64_t wanted = ElementSize(array.type);
  bool fits = true;
  for (int64_t extent : array.shape) {
    fits = fits && MultiplyFits(wanted, static_cast<uint64_t>(extent), &wanted);
  }
  const uint64_t found = file.size() - array.data_offset;
  if (!fits || wanted != found) {
    return BrokenFile(name, fits && wanted < found ? array.data_offset + wanted : file.size(),
                      Format("%zu bytes of elements", static_cast<size_t>(found)),
                      (fits ? std::to_string(wanted) : "an impossible number") + " for shape " +
                          ShapeText(array.shape),
                      "the file is cut short or too long: save the array again");
  }
  array.elements = file.Slice(array.data_offset, found);
  return array;
}

}  // namespace longstride::data
