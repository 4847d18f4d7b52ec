// longstride scale: changes the number of workers of a run that is going.
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "cli/commands.h"
#include "cli/run_directory.h"
#include "core/base/clock.h"
#include "core/spec/parse.h"
#include "core/spec/places.h"

namespace longstride {
namespace {

constexpr Duration kTaken = std::chrono::seconds(5);
constexpr Duration kLook = std::chrono::milliseconds(50);

Status Scale(const std::string& path, int64_t replicas) {
  const RunDirectory directory(path);
  LONGSTRIDE_RETURN_IF_ERROR(directory.CheckExists());
  LONGSTRIDE_ASSIGN_OR_RETURN(const TrainingJob job, LoadTrainingJob(directory.job()));
  LONGSTRIDE_RETURN_IF_ERROR(CheckReplicas(job.spec, replicas));
  LONGSTRIDE_RETURN_IF_ERROR(WriteFile(directory.replicas(), std::to_string(replicas)));
  const SystemClock clock;
  const TimePoint until = clock.Now() + kTaken;
  while (access(directory.replicas().c_str(), F_OK) == 0) {
    if (clock.Now() > until) {
      ::unlink(directory.replicas().c_str());
      return UserError("no run is going in " + path + ": nobody took the new number of workers");
    }
    std::this_thread::sleep_for(kLook);
  }
  std::printf("scaling to %lld workers\n", static_cast<long long>(replicas));
  return {};
}

}  // namespace

void AddScale(CLI::App& app, Action& chosen) {
  CLI::App* command = app.add_subcommand("scale", "change the number of workers of a run");
  struct Arguments {
    std::string directory;
    int64_t replicas = 0;
  };
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("RUN_DIR", arguments->directory, "run directory")->required()->type_name("");
  command->add_option("N", arguments->replicas, "workers from now on")->required()->type_name("");
  command->footer(
      "New workers enter, and workers that are too many leave, at a round boundary; the others go "
      "on. The run's own report says when.\n\n"
      "Example:\n  longstride scale runs/fashion-mnist-20261124-080000 3");
  command->callback([arguments, &chosen] {
    chosen = [arguments] { return Scale(arguments->directory, arguments->replicas); };
  });
}

}  // namespace longstride
