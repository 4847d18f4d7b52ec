// From a manifest to a TrainingJob: read, override, default, validate. Every fault is reported at
// once, each with file:line:column and field path. Nothing here reads files but LoadTrainingJob.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/spec/fault.h"
#include "core/spec/training_job.h"

namespace longstride {

inline constexpr const char* kApiVersion = "longstride.dev/v1alpha1";
inline constexpr const char* kKind = "TrainingJob";

// `--set training.localSteps.steps=8`: sets one field before anything is validated. The path may
// leave out "spec."; list entries are written workers[0].name. Lists are written [16, 32]; null
// removes.
struct Override {
  std::string path;
  std::string value;
};

// Splits "path=value" at the first '='; kUser if there is none.
[[nodiscard]] Result<Override> ParseOverride(std::string_view text);

// Either a job whose every field holds what docs/manifest.md promises, or at least one fault.
struct ParsedJob {
  std::optional<TrainingJob> job;
  std::vector<Fault> faults;

  [[nodiscard]] bool ok() const { return job.has_value(); }
};

// YAML or JSON text; `source` names it in faults. A job that has `started` may have any number of
// workers, as its batch is kept within what they can take; a new one begins with batch.initial.
[[nodiscard]] ParsedJob ParseTrainingJob(std::string_view text, const std::string& source,
                                         const std::vector<Override>& overrides = {},
                                         bool started = false);

// A JSON object, as the API server sends it and ToJson writes it. Faults have no positions.
[[nodiscard]] ParsedJob ParseTrainingJobJson(const nlohmann::json& json,
                                             const std::string& source = "",
                                             const std::vector<Override>& overrides = {},
                                             bool started = false);

// Reads and parses the file `path`. kUser with all faults, a line each, or if it cannot be read.
[[nodiscard]] Result<TrainingJob> LoadTrainingJob(const std::string& path,
                                                  const std::vector<Override>& overrides = {});

}  // namespace longstride
