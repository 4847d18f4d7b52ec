// What the command-line programs share: from arguments to an exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "core/base/result.h"

namespace longstride {

// What the chosen subcommand does; its callback sets it while the arguments are parsed.
using Action = std::function<Status()>;

// Parses the arguments and runs what was chosen. The exit code: 0, or that of the error, which is
// printed unless its message is empty; kUser's for arguments that cannot be parsed.
[[nodiscard]] int Dispatch(CLI::App& app, int argc, char** argv, const Action& chosen);

// Prints the error as the program's, and gives its exit code.
[[nodiscard]] int Fail(const CLI::App& app, const Error& error);

}  // namespace longstride
