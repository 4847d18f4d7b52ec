// A job on this machine: the coordinator in this process, one child process per worker. What the
// kubelet and the operator do in a cluster, `longstride run` and `plan` do through this.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/launcher.h"
#include "cli/run_directory.h"
#include "controller/coordinator/coordinator.h"
#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/spec/places.h"
#include "core/spec/training_job.h"

namespace longstride {

struct LocalRunOptions {
  TrainingJob job;
  RunDirectory directory;  // exists
  std::string worker_program;
  int64_t threads_per_worker = 1;
  int64_t memory_per_worker = 0;             // bytes; 0 = unknown
  std::string listen_address = "127.0.0.1";  // where the coordinator listens
  // Words put before each worker's command, with {index} replaced by the worker's number: to start
  // it in a network namespace, a cgroup or a container. The first word is a path.
  std::vector<std::string> launch_prefix;
  bool from_checkpoint = false;  // continue from the newest checkpoint in the directory
  CoordinatorMode mode = CoordinatorMode::kTrain;
  std::vector<Plan> recorded_plans;
  int64_t recorded_rounds = 0;
};

// Asked from the thread that runs the job, about ten times a second.
struct LocalRunHooks {
  std::function<Status(const Event&)> on_event;  // an error stops the run
  std::function<void()> on_tick;
  // How often the user has asked to stop: once = at the next round boundary, more = at once.
  std::function<int()> interrupts;
};

struct LocalRunEnd {
  JobEnd end;
  // The worker whose failure ended the job, if one did.
  std::optional<WorkerPlace> culprit;
};

// Runs the job to its end and returns when every worker process is gone. Errors are those of
// starting it and of on_event; a job that fails is a LocalRunEnd.
[[nodiscard]] Result<LocalRunEnd> RunLocally(const LocalRunOptions& options,
                                             const LocalRunHooks& hooks, ProcessLauncher& launcher,
                                             const Clock& clock);

// $LONGSTRIDE_WORKER, or longstride-worker beside this program. kUser if there is no such file.
[[nodiscard]] Result<std::string> FindWorkerProgram();

// Compute threads for each of `workers` workers that share this machine: the CPUs that its limits
// allow, dealt evenly, at least one. More threads than CPUs would wait for each other at every
// barrier.
[[nodiscard]] int64_t ThreadsPerWorker(int64_t workers);

}  // namespace longstride
