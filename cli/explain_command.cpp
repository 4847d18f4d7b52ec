// longstride explain: what a field of the manifest means.
#include <cstdio>

#include "cli/commands.h"
#include "core/spec/explain.h"

namespace longstride {

void AddExplain(CLI::App& app, Action& chosen) {
  CLI::App* command =
      app.add_subcommand("explain", "describe a field of the manifest and those below it");
  const auto path = std::make_shared<std::string>();
  command
      ->add_option("PATH", *path,
                   "field path; spec. may be left out; without it, the whole manifest")
      ->type_name("");
  command->footer("Example:\n  longstride explain training.localSteps");
  command->callback([path, &chosen] {
    chosen = [path]() -> Status {
      LONGSTRIDE_ASSIGN_OR_RETURN(const std::string text, Explain(*path));
      std::printf("%s", text.c_str());
      return Status();
    };
  });
}

}  // namespace longstride
