// longstride: the command line.
#include "cli/commands.h"
#include "core/spec/nearest.h"

namespace longstride {
namespace {

// kUser when `name`, given where a subcommand is expected, is none; says what may have been meant.
Status CheckSubcommand(const CLI::App& app, const std::string& name) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == name) return Status();
    names.push_back(command->get_name());
  }
  const auto nearest = Nearest(name, names);
  return UserError("there is no subcommand \"" + name + "\"" +
                   (nearest ? "; did you mean \"" + *nearest + "\"?" : "; see longstride --help"));
}

int Main(int argc, char** argv) {
  CLI::App app("Trains one model on many unlike machines joined by slow links.", "longstride");
  app.footer(
      "longstride SUBCOMMAND --help says more, with an example.\n\n"
      "Example:\n  longstride run manifests/synthetic-smoke.yaml");
  app.set_version_flag("--version", std::string("longstride ") + LONGSTRIDE_VERSION);
  Action chosen;
  for (auto* add :
       {AddRun, AddPlan, AddValidate, AddExplain, AddCrd, AddReport, AddScale, AddVersion})
    add(app, chosen);
  if (argc > 1 && argv[1][0] != '-') {
    if (const Status known = CheckSubcommand(app, argv[1]); !known.ok())
      return Fail(app, known.error());
  }
  return Dispatch(app, argc, argv, chosen);
}

}  // namespace
}  // namespace longstride

int main(int argc, char** argv) {
  return longstride::Main(argc, argv);
}
