// longstride run: a job on this machine, from manifest to closing table.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "cli/closing_summary.h"
#include "cli/commands.h"
#include "cli/job_arguments.h"
#include "cli/local_run.h"
#include "cli/run_display.h"
#include "cli/run_lock.h"
#include "cli/run_recorder.h"
#include "cli/yaml_writer.h"
#include "controller/coordinator/planner.h"
#include "core/base/format.h"
#include "core/spec/parse.h"
#include "core/spec/to_json.h"
#include "runtime/checkpoint/checkpoint_directory.h"

namespace longstride {
namespace {

constexpr int kLogLines = 12;

struct RunArguments {
  JobArguments job;
  std::string out;
  std::string resume;
  std::string replay;
  std::string listen = "127.0.0.1";
  std::string launch_prefix;
};

// A run that is ready to start: new, resumed, or a replay of another.
struct Prepared {
  LocalRunOptions options;
  std::unique_ptr<RunLock> lock;     // of its directory
  std::vector<RoundRecord> earlier;  // rounds of this run so far
  RunFacts facts;
};

// The plans that the run in `directory` followed, and for how long.
Status LoadHistory(const RunDirectory& directory, const std::vector<RoundRecord>& rounds,
                   LocalRunOptions& options) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::vector<Plan> issued, ReadPlans(directory.plans()));
  options.recorded_plans = PlanHistory(issued, rounds);
  options.recorded_rounds = rounds.empty() ? 0 : rounds.back().common().round;
  return Status();
}

// Plans alone do not say which members a run had, so one that lost or gained some cannot be
// followed.
Status CheckSameMembers(const std::vector<RoundRecord>& rounds, const std::string& path) {
  for (const RoundRecord& record : rounds) {
    if (record.reports.size() == rounds.front().reports.size() && record.common().lost.empty())
      continue;
    return UserError(Format("%s cannot be replayed: its members changed in round %lld",
                            path.c_str(), static_cast<long long>(record.common().round)));
  }
  return {};
}

Result<Prepared> PrepareResume(const RunArguments& arguments) {
  if (!arguments.job.manifest.empty() || arguments.job.workers > 0 || !arguments.job.sets.empty() ||
      !arguments.out.empty() || !arguments.replay.empty()) {
    return UserError(
        "--resume continues a run as it was: leave out JOB, --workers, --set, --out and --replay");
  }
  Prepared run;
  const RunDirectory directory(arguments.resume);
  run.options.directory = directory;
  LONGSTRIDE_RETURN_IF_ERROR(directory.CheckExists());
  LONGSTRIDE_ASSIGN_OR_RETURN(run.lock, RunLock::Take(directory));
  // Of a `longstride scale` that was interrupted while nothing ran.
  std::remove(directory.replicas().c_str());
  LONGSTRIDE_ASSIGN_OR_RETURN(run.options.job, LoadTrainingJob(directory.job()));
  LONGSTRIDE_ASSIGN_OR_RETURN(RoundHistory history, ReadRoundLog(directory.rounds()));
  LONGSTRIDE_ASSIGN_OR_RETURN(run.facts, ReadFacts(directory.facts()));
  LONGSTRIDE_RETURN_IF_ERROR(LoadHistory(directory, history.rounds, run.options));
  run.earlier = std::move(history.rounds);
  run.options.from_checkpoint = directory.NewestCheckpoint() > 0;
  return run;
}

Result<Prepared> PrepareNew(const RunArguments& arguments) {
  if (arguments.job.manifest.empty() && arguments.replay.empty()) {
    return UserError("which job? Try: longstride run manifests/synthetic-smoke.yaml");
  }
  const RunDirectory replayed(arguments.replay);
  if (!arguments.replay.empty()) LONGSTRIDE_RETURN_IF_ERROR(replayed.CheckExists());
  LONGSTRIDE_ASSIGN_OR_RETURN(
      TrainingJob job,
      arguments.job.Load(arguments.job.manifest.empty() ? replayed.job() : arguments.job.manifest));
  const std::string path = arguments.out.empty()
                               ? DefaultRunPath(job.metadata.name, SystemClock().UnixSeconds())
                               : arguments.out;
  const RunDirectory directory(path);
  Prepared run;
  run.options.job = std::move(job);
  run.options.directory = directory;
  if (!arguments.replay.empty()) {
    LONGSTRIDE_ASSIGN_OR_RETURN(const RoundHistory history, ReadRoundLog(replayed.rounds()));
    LONGSTRIDE_RETURN_IF_ERROR(CheckSameMembers(history.rounds, arguments.replay));
    LONGSTRIDE_RETURN_IF_ERROR(LoadHistory(replayed, history.rounds, run.options));
  }
  LONGSTRIDE_RETURN_IF_ERROR(directory.Create());
  LONGSTRIDE_ASSIGN_OR_RETURN(run.lock, RunLock::Take(directory));
  LONGSTRIDE_RETURN_IF_ERROR(WriteFile(directory.job(), ToYaml(ToOrderedJson(run.options.job))));
  LONGSTRIDE_RETURN_IF_ERROR(WriteFacts(directory.facts(), run.facts));
  return run;
}

// Why a failed job failed, and what can be done: the worker's last words, and once it has trained
// (`rounds`) the checkpoint and the next command.
Error Explain(const LocalRunEnd& result, const LocalRunOptions& options, int64_t rounds) {
  std::string message = result.end.reason;
  if (result.culprit) {
    const std::vector<WorkerPlace> places = DealReplicas(options.job.spec);
    for (size_t i = 0; i < places.size(); ++i) {
      if (places[i].Name() != result.culprit->Name()) continue;
      const std::string log = options.directory.WorkerLog(static_cast<int>(i));
      const std::string tail = TailOf(log, kLogLines);
      message += "\nlast lines of " + log + (tail.empty() ? ": none" : ":\n" + tail);
    }
  }
  if (rounds == 0) return {result.end.code, message};
  const int64_t round = options.directory.NewestCheckpoint();
  message += round > 0
                 ? Format("\nlast checkpoint: round %lld", static_cast<long long>(round))
                 : std::string("\nthere is no checkpoint yet: resuming starts at the first round");
  message += "\nto resume: longstride run --resume " + options.directory.path();
  return {result.end.code, message};
}

Status Run(const RunArguments& arguments) {
  const SystemClock clock;
  const TimePoint begin = clock.Now();
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::string worker_program, FindWorkerProgram());
  LONGSTRIDE_ASSIGN_OR_RETURN(
      Prepared run, arguments.resume.empty() ? PrepareNew(arguments) : PrepareResume(arguments));
  LocalRunOptions& options = run.options;
  options.worker_program = worker_program;
  options.listen_address = arguments.listen;
  std::istringstream prefix(arguments.launch_prefix);
  for (std::string word; prefix >> word;) options.launch_prefix.push_back(word);
  options.threads_per_worker = arguments.job.ThreadsFor(options.job);
  options.memory_per_worker = MemoryPerWorker(options.job.spec.replicas);

  Terminal terminal;
  CatchInterrupts();
  terminal.Print(
      Format("job %s: %lld workers, %lld thread%s each, run directory %s",
             options.job.metadata.name.c_str(), static_cast<long long>(options.job.spec.replicas),
             static_cast<long long>(options.threads_per_worker),
             options.threads_per_worker == 1 ? "" : "s", options.directory.path().c_str()));
  if (!arguments.resume.empty()) {
    const int64_t round = options.directory.NewestCheckpoint();
    terminal.Print(round > 0 ? Format("resuming after round %lld", static_cast<long long>(round))
                             : "there is no checkpoint: starting again at the first round");
  }
  const int64_t last_round = run.earlier.empty() ? 0 : run.earlier.back().common().round;
  LONGSTRIDE_ASSIGN_OR_RETURN(
      const auto recorder,
      RunRecorder::Open(options.directory, last_round, run.facts, options.job.spec.data.placement));
  RunDisplay display(options.job, std::move(run.earlier), terminal, clock);
  const LocalRunHooks hooks{[&](const Event& event) {
                              display.Show(event);
                              return recorder->Write(event);
                            },
                            [&] { display.Tick(); }, InterruptCount};
  const auto launcher = MakeForkLauncher();
  LONGSTRIDE_ASSIGN_OR_RETURN(const LocalRunEnd result,
                              RunLocally(options, hooks, *launcher, clock));
  display.Finish();
  terminal.EndLine();

  // From the file, which also knows which rounds were taken back.
  LONGSTRIDE_ASSIGN_OR_RETURN(const RoundHistory history, ReadRoundLog(options.directory.rounds()));
  RunTotals totals;
  for (const RoundRecord& record : history.rounds) totals.Add(record);
  if (totals.rounds > 0) {
    std::printf("%s", RenderClosingTable(totals, recorder->facts(), options.job.spec.cost,
                                         ToSeconds(clock.Now() - begin))
                          .c_str());
    std::fflush(stdout);
  }
  switch (result.end.outcome) {
    case JobOutcome::kCompleted:
    case JobOutcome::kPlanned:
      return Status();
    case JobOutcome::kStopped:
      return InterruptedError("stopped: " + result.end.reason +
                              "\nto resume: longstride run --resume " + options.directory.path());
    case JobOutcome::kFailed:
      break;
  }
  return Explain(result, options, totals.rounds);
}

}  // namespace

void AddRun(CLI::App& app, Action& chosen) {
  CLI::App* command = app.add_subcommand("run", "train a job on this machine");
  const auto arguments = std::make_shared<RunArguments>();
  arguments->job.AddTo(*command);
  command->add_option("--out", arguments->out, "run directory; default runs/NAME-TIME")
      ->type_name("DIR");
  command
      ->add_option("--resume", arguments->resume,
                   "continue the run in DIR from its last checkpoint")
      ->type_name("DIR");
  command
      ->add_option("--replay", arguments->replay,
                   "follow the plans that the run in DIR followed; JOB defaults to that run's")
      ->type_name("DIR");
  command
      ->add_option(
          "--listen", arguments->listen,
          "address of this machine at which workers reach the coordinator; default loopback")
      ->type_name("IP");
  command
      ->add_option("--launch-prefix", arguments->launch_prefix,
                   "command to start each worker with, e.g. \"scripts/netns.sh exec demo {index} "
                   "--\"; {index} is the "
                   "worker's number")
      ->type_name("COMMAND");
  command->footer(
      "The run directory holds the defaulted job, rounds.jsonl, events.jsonl, plans.jsonl, logs "
      "and checkpoints.\n"
      "Ctrl-C once finishes the round and writes a checkpoint; twice stops at once.\n"
      "Exit codes: 0 done, 1 bug, 2 user, 3 data, 4 resource, 5 lost worker, 6 transient, 7 "
      "interrupted.\n\n"
      "Example:\n  longstride run manifests/fashion-mnist.yaml --workers 2 --set "
      "training.localSteps.steps=32\n"
      "  longstride run --resume runs/fashion-mnist-20261124-080000");
  command->callback([arguments, &chosen] { chosen = [arguments] { return Run(*arguments); }; });
}

}  // namespace longstride
