#include "runtime/collective/file_store.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>

#include "core/base/format.h"

namespace longstride {

std::string FileStore::PathOf(const std::string& key) const {
  // Keys hold slashes; hexadecimal is a name that no two keys share.
  std::string path = folder_ + "/k";
  for (const unsigned char c : key) path += Format("%02x", c);
  return path;
}

Status FileStore::Set(const std::string& key, const std::vector<uint8_t>& value) {
  static std::atomic<int> unique{0};
  const std::string path = PathOf(key);
  const std::string temporary = Format("%s.%d.%d", path.c_str(), getpid(), unique++);
  {
    std::ofstream file(temporary, std::ios::binary);
    file.write(reinterpret_cast<const char*>(value.data()),
               static_cast<std::streamsize>(value.size()));
    if (!file.flush()) return ResourceError("cannot write " + temporary);
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0)
    return ResourceError("cannot write " + path);
  return Status();
}

Result<std::vector<uint8_t>> FileStore::Get(const std::string& key, Duration timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const std::string path = PathOf(key);
  for (;;) {
    std::ifstream file(path, std::ios::binary);
    if (file) {
      return std::vector<uint8_t>(std::istreambuf_iterator<char>(file), {});
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return TransientError(Format("nobody set key '%s' in time", key.c_str()));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace longstride
