// Cuts a stream of bytes into lines. Pure. Not thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace longstride::kube {

class LineSplitter {
 public:
  explicit LineSplitter(size_t max_line_bytes) : max_line_bytes_(max_line_bytes) {}

  // Calls `take(line)` for each line that `bytes` completes, without its end ("\n" or "\r\n"),
  // until it returns false. False when a line grows over the bound.
  template <typename Take>
  bool Feed(std::string_view bytes, Take take) {
    while (true) {
      const size_t end = bytes.find('\n');
      const std::string_view part = bytes.substr(0, end);
      if (rest_.size() + part.size() > max_line_bytes_) return false;
      if (end == std::string_view::npos) {
        rest_ += part;
        return true;
      }
      bytes.remove_prefix(end + 1);
      std::string_view line = part;
      if (!rest_.empty()) line = rest_ += part;
      if (line.ends_with('\r')) line.remove_suffix(1);
      const bool more = take(line);
      rest_.clear();
      if (!more) return true;
    }
  }

  // What came after the last line's end.
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  const size_t max_line_bytes_;
  std::string rest_;
};

}  // namespace longstride::kube
