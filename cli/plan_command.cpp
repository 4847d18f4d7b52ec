// longstride plan: profile, split and predicted round, without training.
#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "cli/commands.h"
#include "cli/job_arguments.h"
#include "cli/local_run.h"
#include "cli/plan_table.h"
#include "cli/terminal.h"

namespace longstride {
namespace {

struct PlanArguments {
  JobArguments job;
  bool json = false;
};

// A directory for the workers' logs, removed with the object.
class ScratchDirectory {
 public:
  static Result<std::unique_ptr<ScratchDirectory>> Make() {
    std::error_code error;
    std::string path =
        (std::filesystem::temp_directory_path(error) / "longstride-plan-XXXXXX").string();
    if (error || mkdtemp(path.data()) == nullptr)
      return ResourceError("cannot make a temporary directory: " + path);
    return std::unique_ptr<ScratchDirectory>(new ScratchDirectory(path));
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}
  const std::string path_;
};

Status ShowPlan(const PlanArguments& arguments) {
  if (arguments.job.manifest.empty())
    return UserError("which job? Try: longstride plan manifests/fashion-mnist.yaml");
  const SystemClock clock;
  LocalRunOptions options;
  LONGSTRIDE_ASSIGN_OR_RETURN(options.worker_program, FindWorkerProgram());
  LONGSTRIDE_ASSIGN_OR_RETURN(options.job, arguments.job.Load(arguments.job.manifest));
  LONGSTRIDE_ASSIGN_OR_RETURN(const auto scratch, ScratchDirectory::Make());
  options.directory = RunDirectory(scratch->path());
  LONGSTRIDE_RETURN_IF_ERROR(options.directory.Create());
  options.mode = CoordinatorMode::kPlanOnly;
  options.threads_per_worker = arguments.job.ThreadsFor(options.job);
  options.memory_per_worker = MemoryPerWorker(options.job.spec.replicas);

  std::vector<JoinRequest> joins;
  std::optional<PlanPrediction> prediction;
  CatchInterrupts();
  const LocalRunHooks hooks{
      [&](const Event& event) -> Status {
        if (const auto* joined = std::get_if<JoinedEvent>(&event.data)) {
          joins.push_back(joined->join);
        } else if (const auto* plan = std::get_if<PlanIssuedEvent>(&event.data)) {
          prediction = plan->prediction;
        }
        return Status();
      },
      {},
      InterruptCount};
  const auto launcher = MakeForkLauncher();
  LONGSTRIDE_ASSIGN_OR_RETURN(const LocalRunEnd result,
                              RunLocally(options, hooks, *launcher, clock));
  if (result.end.outcome == JobOutcome::kStopped)
    return InterruptedError("stopped: " + result.end.reason);
  if (result.end.outcome == JobOutcome::kFailed || !prediction) {
    std::string message = result.end.reason;
    const std::vector<WorkerPlace> places = DealReplicas(options.job.spec);
    for (size_t i = 0; result.culprit && i < places.size(); ++i) {
      if (places[i].Name() != result.culprit->Name()) continue;
      message += "\n" + TailOf(options.directory.WorkerLog(static_cast<int>(i)), 12);
    }
    return Error{result.end.code, message};
  }
  std::sort(joins.begin(), joins.end(),
            [](const JoinRequest& a, const JoinRequest& b) { return a.worker < b.worker; });
  if (arguments.json) {
    std::printf("%s\n", PlanJson(joins, *prediction).dump(2).c_str());
  } else {
    std::printf("%s", RenderPlanTable(joins, *prediction).c_str());
  }
  return Status();
}

}  // namespace

void AddPlan(CLI::App& app, Action& chosen) {
  CLI::App* command =
      app.add_subcommand("plan", "profile the workers and predict a round, without training");
  const auto arguments = std::make_shared<PlanArguments>();
  arguments->job.AddTo(*command);
  command->add_flag("--json", arguments->json, "print it as JSON");
  command->footer("Example:\n  longstride plan manifests/fashion-mnist.yaml --workers 2");
  command->callback(
      [arguments, &chosen] { chosen = [arguments] { return ShowPlan(*arguments); }; });
}

}  // namespace longstride
