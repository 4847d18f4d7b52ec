// The few operations on files that writing a checkpoint needs, behind an interface so that tests
// can fail or stop the process's work at any one of them. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/base/result.h"

namespace longstride::checkpoint {

// A file being written. Destroying it closes it.
class OutputFile {
 public:
  virtual ~OutputFile() = default;
  [[nodiscard]] virtual Status Write(std::span<const uint8_t> bytes) = 0;
  // Its content is on the disk when this returns (fsync).
  [[nodiscard]] virtual Status Sync() = 0;
};

// Errors: kResource when the disk is full, a quota or limit is reached or the device fails; kUser
// for permissions and bad paths.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // Creates the file, or empties it when it exists.
  [[nodiscard]] virtual Result<std::unique_ptr<OutputFile>> Create(const std::string& path) = 0;
  [[nodiscard]] virtual Status Rename(const std::string& from, const std::string& to) = 0;
  // Creates the folder and its parents; success when it exists.
  [[nodiscard]] virtual Status MakeDirectory(const std::string& path) = 0;
  // The entries of the folder are on the disk when this returns (fsync of the folder).
  [[nodiscard]] virtual Status SyncDirectory(const std::string& path) = 0;
  // Removes a file or a folder with all it holds; success when it does not exist.
  [[nodiscard]] virtual Status Remove(const std::string& path) = 0;
};

// The machine's file systems.
[[nodiscard]] std::shared_ptr<FileSystem> RealFileSystem();

}  // namespace longstride::checkpoint
