#include "cli/dispatch.h"

#include <cstdio>

namespace longstride {

int Dispatch(CLI::App& app, int argc, char** argv, const Action& chosen) {
  app.require_subcommand(1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // --help and --version come as "errors" with code 0.
    return app.exit(e) == 0 ? 0 : ExitCodeOf(ErrorCode::kUser);
  }
  const Status status = chosen();
  return status.ok() ? 0 : Fail(app, status.error());
}

int Fail(const CLI::App& app, const Error& error) {
  if (!error.message.empty())
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), error.message.c_str());
  return ExitCodeOf(error.code);
}

}  // namespace longstride
