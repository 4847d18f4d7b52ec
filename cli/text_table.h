// Rows of text in aligned columns.
#pragma once

#include <string>
#include <vector>

namespace longstride {

class TextTable {
 public:
  // The number of columns is that of the longest row.
  void Row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  // Columns named here are aligned to the right.
  void AlignRight(size_t column) { right_.push_back(column); }
  // Each row on a line of its own, indented by two spaces, columns two spaces apart, no trailing
  // spaces.
  [[nodiscard]] std::string Render() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<size_t> right_;
};

// Columns that `text` takes on a terminal: UTF-8 code points, each counted as one.
[[nodiscard]] size_t DisplayWidth(const std::string& text);

}  // namespace longstride
