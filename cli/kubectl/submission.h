// What `submit` is to create, and in which namespace.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/spec/parse.h"
#include "core/spec/training_job.h"

namespace longstride {

struct Submission {
  TrainingJob job;
  std::string name_space;  // "": neither the manifest, a change nor the flag names one
};

// Reads the manifest `path` with these changes. `flag`: --namespace, "" if not given; kUser when
// the manifest or a change names another.
[[nodiscard]] Result<Submission> LoadSubmission(const std::string& path,
                                                const std::vector<Override>& overrides,
                                                const std::string& flag);

}  // namespace longstride
