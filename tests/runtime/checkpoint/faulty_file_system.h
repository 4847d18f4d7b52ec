// A file system for tests that goes wrong at the operation it is told to.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "runtime/checkpoint/file_system.h"

namespace longstride::checkpoint {

enum class Fault {
  kDiskFull,  // that operation fails after half its work; later ones work
  kKilled,  // the process stops in the middle of that operation; the kernel keeps what was written
  kPowerLost,  // as kKilled, and what was not flushed is lost: half of a file, renames, new names
};

// Counts operations from 0, over all files. Not thread-safe.
class FaultyFileSystem final : public FileSystem {
 public:
  explicit FaultyFileSystem(Fault fault = Fault::kKilled, int at = std::numeric_limits<int>::max())
      : fault_(fault), at_(at) {}

  [[nodiscard]] int operations() const { return operations_; }
  [[nodiscard]] bool dead() const { return dead_; }

  [[nodiscard]] Result<std::unique_ptr<OutputFile>> Create(const std::string& path) override {
    LONGSTRIDE_RETURN_IF_ERROR(Begin());
    const bool existed = std::filesystem::exists(path);
    LONGSTRIDE_ASSIGN_OR_RETURN(std::unique_ptr<OutputFile> file, real_->Create(path));
    if (!existed) Unflushed(Parent(path), [path] { std::filesystem::remove(path); });
    unflushed_files_[path] = true;
    return std::unique_ptr<OutputFile>(std::make_unique<File>(*this, path, std::move(file)));
  }
  [[nodiscard]] Status Rename(const std::string& from, const std::string& to) override {
    LONGSTRIDE_RETURN_IF_ERROR(Begin());
    LONGSTRIDE_RETURN_IF_ERROR(real_->Rename(from, to));
    Unflushed(Parent(to), [from, to] { std::filesystem::rename(to, from); });
    return {};
  }
  [[nodiscard]] Status MakeDirectory(const std::string& path) override {
    LONGSTRIDE_RETURN_IF_ERROR(Begin());
    return real_->MakeDirectory(path);
  }
  [[nodiscard]] Status SyncDirectory(const std::string& path) override {
    LONGSTRIDE_RETURN_IF_ERROR(Begin());
    std::erase_if(undo_, [&](const auto& entry) { return entry.first == path; });
    return {};
  }
  // Removals stay removed: a stronger disk than any, which only makes losses worse.
  [[nodiscard]] Status Remove(const std::string& path) override {
    const bool last = operations_ == at_ && fault_ != Fault::kDiskFull;
    if (last) RemoveOneOf(path);
    LONGSTRIDE_RETURN_IF_ERROR(Begin());
    return real_->Remove(path);
  }

 private:
  class File final : public OutputFile {
   public:
    File(FaultyFileSystem& owner, std::string path, std::unique_ptr<OutputFile> real)
        : owner_(owner), path_(std::move(path)), real_(std::move(real)) {}
    [[nodiscard]] Status Write(std::span<const uint8_t> bytes) override {
      Status status = owner_.Begin();
      if (!status.ok() && owner_.operations_ == owner_.at_ + 1) {
        [[maybe_unused]] const Status half = real_->Write(bytes.first(bytes.size() / 2));
        // The power fails after the half write.
        if (owner_.fault_ == Fault::kPowerLost) owner_.LosePower();
      }
      LONGSTRIDE_RETURN_IF_ERROR(status);
      return real_->Write(bytes);
    }
    [[nodiscard]] Status Sync() override {
      LONGSTRIDE_RETURN_IF_ERROR(owner_.Begin());
      owner_.unflushed_files_.erase(path_);
      return {};
    }

   private:
    FaultyFileSystem& owner_;
    std::string path_;
    std::unique_ptr<OutputFile> real_;
  };

  static std::string Parent(const std::string& path) {
    return std::filesystem::path(path).parent_path();
  }
  static void RemoveOneOf(const std::string& path) {
    if (!std::filesystem::is_directory(path)) return;
    const std::filesystem::directory_iterator first(path);
    if (first != std::filesystem::directory_iterator()) std::filesystem::remove_all(first->path());
  }
  void Unflushed(const std::string& folder, std::function<void()> undo) {
    undo_.emplace_back(folder, std::move(undo));
  }

  Status Begin() {
    if (dead_) return InterruptedError("the process is gone");
    if (operations_++ != at_) return {};
    if (fault_ == Fault::kDiskFull) return ResourceError("no space left on device");
    dead_ = true;
    if (fault_ == Fault::kPowerLost) LosePower();
    return InterruptedError("the process is gone");
  }
  void LosePower() {
    for (const auto& [path, unused] : unflushed_files_) {
      if (!std::filesystem::exists(path)) continue;
      std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
    }
    while (!undo_.empty()) {
      undo_.back().second();
      undo_.pop_back();
    }
  }

  std::shared_ptr<FileSystem> real_ = RealFileSystem();
  Fault fault_;
  int at_;
  int operations_ = 0;
  bool dead_ = false;
  std::map<std::string, bool> unflushed_files_;
  std::vector<std::pair<std::string, std::function<void()>>> undo_;
};

}  // namespace longstride::checkpoint
