#include "runtime/checkpoint/file_system.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace longstride::checkpoint {
namespace {

// A single write is at most this, so that a slow disk shows progress to signals and debuggers
// alike.
constexpr size_t kMaxWrite = size_t{16} << 20;

Error Failure(const std::string& path, const char* action, int cause) {
  const std::string text = path + ": cannot " + action + ": " + std::strerror(cause);
  switch (cause) {
    case ENOSPC:
    case EDQUOT:
      return ResourceError(text + "; free space or point the checkpoints to another disk");
    case EIO:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EFBIG:
      return ResourceError(text + "; check the disk and the process's limits");
    default:
      return UserError(text + "; check the path and its permissions");
  }
}

class RealOutputFile final : public OutputFile {
 public:
  RealOutputFile(int file, std::string path) : file_(file), path_(std::move(path)) {}
  ~RealOutputFile() override { close(file_); }
  RealOutputFile(const RealOutputFile&) = delete;
  RealOutputFile& operator=(const RealOutputFile&) = delete;

  [[nodiscard]] Status Write(std::span<const uint8_t> bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = write(file_, bytes.data(), std::min(bytes.size(), kMaxWrite));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return Failure(path_, "write", errno);
      bytes = bytes.subspan(static_cast<size_t>(written));
    }
    return {};
  }
  [[nodiscard]] Status Sync() override {
    if (fsync(file_) != 0) return Failure(path_, "flush to disk", errno);
    return {};
  }

 private:
  int file_;
  std::string path_;
};

class Real final : public FileSystem {
 public:
  [[nodiscard]] Result<std::unique_ptr<OutputFile>> Create(const std::string& path) override {
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0) return Failure(path, "create", errno);
    return std::unique_ptr<OutputFile>(std::make_unique<RealOutputFile>(file, path));
  }
  [[nodiscard]] Status Rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0) return Failure(from, "rename", errno);
    return {};
  }
  [[nodiscard]] Status MakeDirectory(const std::string& path) override {
    std::error_code fault;
    std::filesystem::create_directories(path, fault);
    if (fault) return Failure(path, "create the folder", fault.value());
    return {};
  }
  [[nodiscard]] Status SyncDirectory(const std::string& path) override {
    const int folder = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return Failure(path, "open the folder", errno);
    const int outcome = fsync(folder);
    const int cause = errno;
    close(folder);
    // Some network file systems cannot flush a folder and say so; their renames are durable anyway.
    if (outcome != 0 && cause != EINVAL && cause != ENOTSUP)
      return Failure(path, "flush to disk", cause);
    return {};
  }
  [[nodiscard]] Status Remove(const std::string& path) override {
    std::error_code fault;
    std::filesystem::remove_all(path, fault);
    if (fault) return Failure(path, "remove", fault.value());
    return {};
  }
};

}  // namespace

std::shared_ptr<FileSystem> RealFileSystem() {
  return std::make_shared<Real>();
}

}  // namespace longstride::checkpoint
