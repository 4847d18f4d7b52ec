#include "core/spec/parse.h"

#include "core/base/read_file.h"
#include "core/spec/node.h"
#include "core/spec/override.h"
#include "core/spec/reader.h"
#include "core/spec/validate.h"

namespace longstride {
namespace {

ParsedJob Finish(std::optional<Node> root, const std::vector<Override>& overrides, bool started,
                 Faults faults) {
  ParsedJob parsed;
  if (root) {
    for (const Override& override : overrides) ApplyOverride(override, *root, faults);
    TrainingJob job;
    ReadJob(*root, job, faults);
    if (root->kind == Node::Kind::kMap) ValidateJob(*root, job, started, faults);
    if (faults.empty()) parsed.job = std::move(job);
  }
  parsed.faults = faults.Take();
  return parsed;
}

}  // namespace

Result<Override> ParseOverride(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return UserError("--set " + Shorten(text) + ": expected path=value, as training.seed=7");
  }
  return Override{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

ParsedJob ParseTrainingJob(std::string_view text, const std::string& source,
                           const std::vector<Override>& overrides, bool started) {
  Faults faults;
  std::optional<Node> root = ReadNode(text, source, faults);
  return Finish(std::move(root), overrides, started, std::move(faults));
}

ParsedJob ParseTrainingJobJson(const nlohmann::json& json, const std::string& source,
                               const std::vector<Override>& overrides, bool started) {
  Faults faults;
  std::optional<Node> root = NodeFromJson(json, source, faults);
  return Finish(std::move(root), overrides, started, std::move(faults));
}

Result<TrainingJob> LoadTrainingJob(const std::string& path,
                                    const std::vector<Override>& overrides) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxManifestBytes + 1));
  ParsedJob parsed = ParseTrainingJob(text, path, overrides);
  if (!parsed.ok()) return ToError(parsed.faults);
  return *std::move(parsed.job);
}

}  // namespace longstride
