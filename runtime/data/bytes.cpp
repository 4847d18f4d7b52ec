#include "runtime/data/bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

#include "core/base/format.h"

namespace longstride::data {

static_assert(std::endian::native == std::endian::little);

Result<Bytes> MapFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return UserError(path + ": cannot be opened: " + std::strerror(errno) +
                     "; check the path and its permissions");
  }
  struct stat info {};
  if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(file);
    return DataError(path + ": not a regular file; give the path of a file with data");
  }
  if (info.st_size == 0) {
    close(file);
    return Bytes{};
  }
  const auto size = static_cast<size_t>(info.st_size);
  void* start = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  const int cause = errno;
  close(file);  // the mapping stays
  if (start == MAP_FAILED) {
    return ResourceError(path + ": cannot be mapped: " + std::strerror(cause));
  }
  std::shared_ptr<const void> owner(start, [size](void* p) { munmap(p, size); });
  return Bytes{std::move(owner), {static_cast<const uint8_t*>(start), size}};
}

Bytes OwnBytes(std::vector<uint8_t> bytes) {
  auto owner = std::make_shared<const std::vector<uint8_t>>(std::move(bytes));
  const std::span<const uint8_t> view(*owner);
  return {std::move(owner), view};
}

Error BrokenFile(std::string_view file, uint64_t offset, std::string_view found,
                 std::string_view expected, std::string_view remedy) {
  std::string text(file);
  text += ": byte " + std::to_string(offset) + ": found ";
  text.append(found).append(", expected ").append(expected).append("; ").append(remedy);
  return DataError(std::move(text));
}

std::string ShapeText(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace longstride::data
