#include "core/base/read_file.h"

#include <fstream>

namespace longstride {
namespace {

constexpr size_t kSmallFileBytes = size_t{1} << 20;

}  // namespace

Result<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  std::ifstream file(path, std::ios::binary);
  std::string text(max_bytes, '\0');
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file && !file.eof()) {
    return UserError(path + ": cannot be read; check that the file exists and is readable");
  }
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

Result<std::string> ReadSmallFile(const std::string& path) {
  LONGSTRIDE_ASSIGN_OR_RETURN(std::string text, ReadFile(path, kSmallFileBytes + 1));
  if (text.size() > kSmallFileBytes) return UserError(path + ": larger than 1 MiB");
  return text;
}

}  // namespace longstride
