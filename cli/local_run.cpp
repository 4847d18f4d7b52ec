#include "cli/local_run.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "controller/http/coordinator_server.h"
#include "core/base/format.h"
#include "core/spec/to_json.h"
#include "runtime/profile/limits.h"

namespace longstride {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(100);
// Once the job has ended, workers leave by themselves; those that hang are told, then killed.
constexpr Duration kLeaveGrace = std::chrono::seconds(5);
constexpr Duration kTermGrace = std::chrono::seconds(5);

struct Child {
  WorkerPlace place;
  int pid = 0;
  bool running = false;
};

class LocalRun {
 public:
  LocalRun(const LocalRunOptions& options, const LocalRunHooks& hooks, ProcessLauncher& launcher,
           const Clock& clock)
      : options_(options),
        hooks_(hooks),
        launcher_(launcher),
        clock_(clock),
        key_{options.job.metadata.namespace_, options.job.metadata.name} {}

  ~LocalRun() {
    for (const Child& child : children_) {
      if (child.running) launcher_.Signal(child.pid, SIGKILL);
    }
    ::unlink(options_.directory.token().c_str());
  }

  Result<LocalRunEnd> Run() {
    LONGSTRIDE_RETURN_IF_ERROR(Host());
    LONGSTRIDE_RETURN_IF_ERROR(StartWorkers());
    while (true) {
      TakeEvents(kPoll);
      ReapWorkers();
      HandleInterrupts();
      if (hooks_.on_tick) hooks_.on_tick();
      if (!end_) continue;
      if (!AnyRunning()) break;
      HurryWorkers();
    }
    TakeEvents(Duration::zero());  // the last workers' leaving
    LONGSTRIDE_RETURN_IF_ERROR(failure_);
    return LocalRunEnd{*end_, culprit_};
  }

 private:
  Status Host() {
    LONGSTRIDE_ASSIGN_OR_RETURN(const std::string token, MakeToken());
    LONGSTRIDE_RETURN_IF_ERROR(WriteFile(options_.directory.token(), token, /*secret=*/true));
    HttpServerOptions http;
    http.address = options_.listen_address;
    LONGSTRIDE_ASSIGN_OR_RETURN(server_, CoordinatorServer::Start(http, clock_));
    CoordinatorOptions coordinator;
    coordinator.job = options_.job;
    coordinator.mode = options_.mode;
    coordinator.recorded_plans = options_.recorded_plans;
    coordinator.recorded_rounds = options_.recorded_rounds;
    return server_->service().AddJob(key_, token, ToJson(options_.job).dump(),
                                     std::move(coordinator));
  }

  Status StartWorkers() {
    const std::vector<WorkerPlace> places = DealReplicas(options_.job.spec);
    for (size_t i = 0; i < places.size(); ++i) {
      const ProcessSpec spec = SpecOf(places[i], static_cast<int>(i));
      LONGSTRIDE_ASSIGN_OR_RETURN(const int pid, launcher_.Start(spec));
      children_.push_back({places[i], pid, true});
    }
    return Status();
  }

  ProcessSpec SpecOf(const WorkerPlace& place, int number) const {
    ProcessSpec spec;
    spec.program = options_.worker_program;
    spec.arguments = {"--coordinator", server_->UrlOf(key_),
                      "--token-file",  options_.directory.token(),
                      "--group",       place.group,
                      "--index",       std::to_string(place.index),
                      "--out",         options_.directory.path(),
                      "--threads",     std::to_string(options_.threads_per_worker)};
    if (options_.memory_per_worker > 0) {
      spec.arguments.insert(spec.arguments.end(),
                            {"--memory", std::to_string(options_.memory_per_worker)});
    }
    if (options_.from_checkpoint) {
      spec.arguments.insert(spec.arguments.end(), {"--resume", options_.directory.path()});
    }
    if (!options_.launch_prefix.empty()) PrefixWith(number, spec);
    // Read by OpenMP and MKL before any code of ours runs.
    const std::string threads = std::to_string(options_.threads_per_worker);
    spec.environment = {{"OMP_NUM_THREADS", threads}, {"MKL_NUM_THREADS", threads}};
    spec.output_path = options_.directory.WorkerLog(number);
    return spec;
  }

  void PrefixWith(int number, ProcessSpec& spec) const {
    std::vector<std::string> words = options_.launch_prefix;
    for (std::string& word : words) {
      const size_t at = word.find("{index}");
      if (at != std::string::npos)
        word.replace(at, std::string("{index}").size(), std::to_string(number));
    }
    words.push_back(spec.program);
    words.insert(words.end(), spec.arguments.begin(), spec.arguments.end());
    spec.program = words.front();
    spec.arguments.assign(words.begin() + 1, words.end());
  }

  void TakeEvents(Duration wait) {
    for (const Event& event : server_->service().WaitForEvents(key_, wait)) {
      Note(event);
      if (const Status status = hooks_.on_event(event); !status.ok() && failure_.ok()) {
        failure_ = status;
        RequestStop("the run directory cannot be written");
      }
    }
  }

  void Note(const Event& event) {
    if (const auto* lost = std::get_if<WorkerLostEvent>(&event.data);
        lost != nullptr && !culprit_) {
      culprit_ = WorkerPlace{lost->worker.group, lost->worker.index};
    }
    if (const auto* ended = std::get_if<EndedEvent>(&event.data)) {
      end_ = ended->end;
      ended_at_ = clock_.Now();
    }
  }

  void ReapWorkers() {
    while (const auto exit = launcher_.Reap()) {
      const auto child = std::find_if(children_.begin(), children_.end(),
                                      [&](const Child& c) { return c.pid == exit->pid; });
      if (child == children_.end()) continue;
      child->running = false;
      server_->service().WithJob(key_, [&](Coordinator& coordinator, TimePoint now) {
        coordinator.WorkerExited(child->place.group, child->place.index, exit->exit_code,
                                 exit->Text(), now);
        // A failure before it joined has no worker that the coordinator could name.
        if (!culprit_ && !end_ && coordinator.end() &&
            coordinator.end()->outcome == JobOutcome::kFailed) {
          culprit_ = child->place;
        }
      });
    }
  }

  void HandleInterrupts() {
    const int interrupts = hooks_.interrupts ? hooks_.interrupts() : 0;
    if (interrupts > 0 && !stop_requested_) {
      stop_requested_ = true;
      RequestStop("interrupted by the user");
    }
    if (interrupts > 1) {
      for (const Child& child : children_) {
        if (child.running) launcher_.Signal(child.pid, SIGKILL);
      }
    }
  }

  void RequestStop(const std::string& reason) {
    server_->service().WithJob(
        key_, [&](Coordinator& coordinator, TimePoint) { coordinator.RequestStop(reason); });
  }

  void HurryWorkers() {
    const Duration waited = clock_.Now() - ended_at_;
    const int signal = waited > kLeaveGrace + kTermGrace ? SIGKILL
                       : waited > kLeaveGrace            ? SIGTERM
                                                         : 0;
    if (signal == 0 || signal == last_signal_) return;
    last_signal_ = signal;
    for (const Child& child : children_) {
      if (child.running) launcher_.Signal(child.pid, signal);
    }
  }

  bool AnyRunning() const {
    return std::any_of(children_.begin(), children_.end(),
                       [](const Child& c) { return c.running; });
  }

  const LocalRunOptions& options_;
  const LocalRunHooks& hooks_;
  ProcessLauncher& launcher_;
  const Clock& clock_;
  const JobKey key_;
  std::unique_ptr<CoordinatorServer> server_;
  std::vector<Child> children_;
  std::optional<JobEnd> end_;
  TimePoint ended_at_;
  std::optional<WorkerPlace> culprit_;
  Status failure_;
  bool stop_requested_ = false;
  int last_signal_ = 0;
};

}  // namespace

Result<LocalRunEnd> RunLocally(const LocalRunOptions& options, const LocalRunHooks& hooks,
                               ProcessLauncher& launcher, const Clock& clock) {
  return LocalRun(options, hooks, launcher, clock).Run();
}

Result<std::string> FindWorkerProgram() {
  namespace fs = std::filesystem;
  std::error_code error;
  if (const char* named = std::getenv("LONGSTRIDE_WORKER")) {
    if (access(named, X_OK) == 0) return std::string(named);
    return UserError(std::string("LONGSTRIDE_WORKER names ") + named + ", which is not a program");
  }
  const fs::path here = fs::read_symlink("/proc/self/exe", error).parent_path();
  const fs::path beside = here / "longstride-worker";
  if (access(beside.c_str(), X_OK) == 0) return beside.string();
  return UserError("longstride-worker is not beside this program (" + here.string() +
                   "); install it there or set LONGSTRIDE_WORKER to its path");
}

int64_t ThreadsPerWorker(int64_t workers) {
  return std::max<int64_t>(1, ThreadCount(ReadMachineLimits()) / std::max<int64_t>(1, workers));
}

}  // namespace longstride
