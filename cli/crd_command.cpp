// longstride crd: the CustomResourceDefinition of TrainingJob.
#include <cstdio>

#include "cli/commands.h"
#include "cli/yaml_writer.h"
#include "core/spec/crd.h"

namespace longstride {

void AddCrd(CLI::App& app, Action& chosen) {
  CLI::App* command =
      app.add_subcommand("crd", "print the CustomResourceDefinition of this version's TrainingJob");
  command->footer(
      "The Helm chart installs it; this is for those who install it by other means, or want to "
      "see what changes.\n\n"
      "Example:\n  longstride crd | kubectl apply --server-side -f -\n"
      "  longstride crd | kubectl diff -f -");
  command->callback([&chosen] {
    chosen = [] {
      std::printf("%s", ToYaml(ToCrd()).c_str());
      return Status();
    };
  });
}

}  // namespace longstride
