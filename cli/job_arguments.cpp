#include "cli/job_arguments.h"

#include <algorithm>

#include "cli/local_run.h"
#include "cli/set_option.h"
#include "runtime/profile/limits.h"

namespace longstride {

void JobArguments::AddTo(CLI::App& command) {
  command.add_option("JOB", manifest, "manifest of a TrainingJob, YAML or JSON")->type_name("FILE");
  command.add_option("--workers", workers, "number of workers, instead of spec.replicas")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  AddSetOption(command, sets);
  command
      .add_option("--threads", threads,
                  "compute threads of each worker; default: the CPUs shared evenly")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
}

Result<TrainingJob> JobArguments::Load(const std::string& path) const {
  std::vector<Override> overrides;
  if (workers > 0) overrides.push_back({"replicas", std::to_string(workers)});
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::vector<Override> changes, ParseOverrides(sets));
  overrides.insert(overrides.end(), changes.begin(), changes.end());
  return LoadTrainingJob(path, overrides);
}

int64_t JobArguments::ThreadsFor(const TrainingJob& job) const {
  return threads > 0 ? threads : ThreadsPerWorker(job.spec.replicas);
}

int64_t MemoryPerWorker(int64_t workers) {
  return ReadMachineLimits().memory_limit_bytes / std::max<int64_t>(1, workers);
}

}  // namespace longstride
