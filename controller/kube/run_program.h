// Runs a program to its end and keeps what it printed: for credential plugins.
#pragma once

#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace longstride::kube {

struct Program {
  std::string command;  // a path, or a name to find in PATH
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;  // added to ours, or in their place
};

struct ProgramResult {
  int exit_code = 0;  // 128 + n after signal n
  std::string output;
  std::string errors;  // the last 4 KiB of standard error
};

// By posix_spawn, without a shell; standard input is empty, no descriptor of ours is inherited. The
// program is killed at the deadline (kTransient), on `stop` (kInterrupted) and when it prints more
// than 1 MiB (kUser). kUser when it cannot be started.
[[nodiscard]] Result<ProgramResult> RunProgram(const Program& program, Duration deadline,
                                               const std::stop_token& stop);

}  // namespace longstride::kube
