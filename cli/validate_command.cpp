// longstride validate: the faults of manifests, or the jobs that they describe.
#include <cstdio>
#include <iostream>
#include <iterator>

#include "cli/commands.h"
#include "cli/run_directory.h"
#include "cli/yaml_writer.h"
#include "core/spec/parse.h"
#include "core/spec/to_json.h"

namespace longstride {
namespace {

struct ValidateArguments {
  std::vector<std::string> files;
  std::string output = "yaml";
};

Result<std::string> ReadManifest(const std::string& file) {
  if (file != "-") return ReadFile(file);
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

Status Validate(const ValidateArguments& arguments) {
  bool valid = true;
  bool first = true;
  for (const std::string& file : arguments.files) {
    const auto text = ReadManifest(file);
    if (!text.ok()) {
      std::fprintf(stderr, "%s\n", text.error().message.c_str());
      valid = false;
      continue;
    }
    const ParsedJob parsed = ParseTrainingJob(text.value(), file == "-" ? "standard input" : file);
    if (!parsed.ok()) {
      std::fprintf(stderr, "%s\n", ToError(parsed.faults).message.c_str());
      valid = false;
      continue;
    }
    const nlohmann::ordered_json json = ToOrderedJson(*parsed.job);
    if (arguments.output == "json") {
      std::printf("%s\n", json.dump(2).c_str());
    } else if (arguments.output == "yaml") {
      std::printf("%s%s", first ? "" : "---\n", ToYaml(json).c_str());
    }
    first = false;
  }
  return valid ? Status() : Status(UserError(""));
}

}  // namespace

void AddValidate(CLI::App& app, Action& chosen) {
  CLI::App* command =
      app.add_subcommand("validate", "check manifests; print them with every default filled in");
  const auto arguments = std::make_shared<ValidateArguments>();
  command->add_option("FILE", arguments->files, "manifests, YAML or JSON; - = standard input")
      ->required()
      ->type_name("");
  command->add_option("-o,--output", arguments->output, "yaml (default), json, or none")
      ->check(CLI::IsMember({"yaml", "json", "none"}))
      ->type_name("FORMAT");
  command->footer(
      "All faults are reported at once, with file:line:column; the exit code is then 2.\n\n"
      "Example:\n  longstride validate manifests/fashion-mnist.yaml -o json");
  command->callback(
      [arguments, &chosen] { chosen = [arguments] { return Validate(*arguments); }; });
}

}  // namespace longstride
