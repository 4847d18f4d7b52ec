#include "cli/kubectl/submission.h"

#include <utility>

#include "core/base/read_file.h"
#include "core/spec/node.h"
#include "core/spec/override.h"

namespace longstride {
namespace {

// The namespace that the manifest or a change of it names, which a job that was read does not say:
// there it has a default.
std::string NamespaceIn(const std::string& text, const std::vector<Override>& overrides) {
  Faults faults;
  auto root = ReadNode(text, "", faults);
  if (!root) return "";
  for (const Override& override : overrides) ApplyOverride(override, *root, faults);
  const Node* metadata = root->Find("metadata");
  const Node* name_space = metadata ? metadata->Find("namespace") : nullptr;
  return name_space ? name_space->text : "";
}

}  // namespace

Result<Submission> LoadSubmission(const std::string& path, const std::vector<Override>& overrides,
                                  const std::string& flag) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxManifestBytes + 1));
  ParsedJob parsed = ParseTrainingJob(text, path, overrides);
  if (!parsed.ok()) return ToError(parsed.faults);
  const std::string named = NamespaceIn(text, overrides);
  if (!named.empty() && !flag.empty() && named != flag) {
    return UserError(path + ": metadata.namespace: \"" + named +
                     "\" is not that of --namespace \"" + flag +
                     "\"; leave one of them out, or --set metadata.namespace=" + flag);
  }
  return Submission{*std::move(parsed.job), named.empty() ? flag : named};
}

}  // namespace longstride
