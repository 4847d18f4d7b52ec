// The claim of a `longstride run` on its run directory, so that no second one writes there. It ends
// with the object, and with the process however that ends; workers do not inherit it.
#pragma once

#include <memory>

#include "cli/run_directory.h"
#include "core/base/result.h"

namespace longstride {

class RunLock {
 public:
  // The directory must exist. kUser while another holds it, or when its file cannot be written.
  // Where the file system has no locks, warns and goes on without.
  [[nodiscard]] static Result<std::unique_ptr<RunLock>> Take(const RunDirectory& directory);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  explicit RunLock(int fd) : fd_(fd) {}
  const int fd_;
};

}  // namespace longstride
