#include "controller/kube/read_file.h"

#include <fstream>

namespace longstride::kube {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 20;

}  // namespace

Result<std::string> ReadSmallFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxFileBytes + 1, '\0');
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file && !file.eof()) {
    return UserError(path + ": cannot be read; check that the file exists and is readable");
  }
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxFileBytes) return UserError(path + ": larger than 1 MiB");
  return text;
}

}  // namespace longstride::kube
