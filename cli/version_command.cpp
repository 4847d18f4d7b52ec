// longstride version.
#include <cstdio>

#include "cli/commands.h"
#include "core/protocol/messages.h"
#include "core/spec/parse.h"

namespace longstride {

void AddVersion(CLI::App& app, Action& chosen) {
  CLI::App* command = app.add_subcommand("version", "print versions");
  command->footer("Example:\n  longstride version");
  command->callback([&chosen] {
    chosen = []() -> Status {
      std::printf("longstride %s (manifests %s, protocol %d)\n", LONGSTRIDE_VERSION, kApiVersion,
                  kProtocolVersion);
      return Status();
    };
  });
}

}  // namespace longstride
