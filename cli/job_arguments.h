// The flags that `run` and `plan` share: which job, and what of it to change.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/spec/training_job.h"

namespace longstride {

struct JobArguments {
  std::string manifest;
  int64_t workers = 0;  // 0 = as the manifest says
  std::vector<std::string> sets;
  int64_t threads = 0;  // per worker; 0 = share the CPUs

  void AddTo(CLI::App& command);
  // Reads `path` and applies the flags. kUser with every fault, a line each.
  [[nodiscard]] Result<TrainingJob> Load(const std::string& path) const;
  [[nodiscard]] int64_t ThreadsFor(const TrainingJob& job) const;
};

// What each of `workers` workers on this machine may take of its memory, bytes; 0 = unknown.
[[nodiscard]] int64_t MemoryPerWorker(int64_t workers);

}  // namespace longstride
