#include "cli/local_run.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "controller/http/coordinator_server.h"
#include "core/base/log.h"
#include "core/spec/to_json.h"
#include "runtime/checkpoint/checkpoint_directory.h"
#include "runtime/profile/limits.h"
#include "runtime/profile/memory_kills.h"

namespace longstride {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(100);
// Once the job has ended, workers leave by themselves; those that hang are told, then killed.
constexpr Duration kLeaveGrace = std::chrono::seconds(5);
constexpr Duration kTermGrace = std::chrono::seconds(5);

// A worker that ended is started anew after this long, doubled each time, up to the last.
constexpr Duration kFirstRestart = std::chrono::milliseconds(500);
constexpr Duration kLastRestart = std::chrono::seconds(30);

// The worker of one place, in all its incarnations.
struct Child {
  int number = 0;  // of its log and of {index} in the launch prefix
  int pid = 0;
  bool running = false;
  std::string incarnation;  // of the running process, once it has joined
  int restarts = 0;
  TimePoint start_at;  // not before
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
    SignalAll(SIGKILL);
    ::unlink(options_.directory.token().c_str());
  }

  Result<LocalRunEnd> Run() {
    LONGSTRIDE_RETURN_IF_ERROR(Host());
    LONGSTRIDE_RETURN_IF_ERROR(StartWorkers());
    while (true) {
      TakeEvents(kPoll);
      LookAtMemory();
      ReapWorkers();
      TakeScale();
      LONGSTRIDE_RETURN_IF_ERROR(StartWorkers());
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
    // Workers of an earlier run have died with it, and the new coordinator counts from the start.
    const std::string checkpoints = options_.directory.checkpoints();
    if (const Status none = checkpoint::CheckpointDirectory(checkpoints).Disown(); !none.ok())
      LogWarning("run", none.error().message);
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

  // Every place that should have a worker and has none, once its pause is over.
  Status StartWorkers() {
    if (end_ || stop_requested_) return Status();
    std::vector<std::pair<WorkerPlace, std::optional<int64_t>>> places;
    server_->service().WithJob(key_, [&](Coordinator& coordinator, TimePoint) {
      if (coordinator.end() || coordinator.completing()) return;
      for (const WorkerPlace& place : coordinator.wanted())
        places.emplace_back(place, coordinator.MicroBatchLimit(place));
    });
    for (const auto& [place, micro_batch] : places) {
      const auto [it, fresh] = children_.try_emplace(place);
      Child& child = it->second;
      if (fresh) child.number = static_cast<int>(children_.size()) - 1;
      if (child.running || clock_.Now() < child.start_at) continue;
      // Those who hold the state may be gone by the time a newcomer is ready.
      const bool from_checkpoint =
          started_ ? options_.directory.NewestCheckpoint() > 0 : options_.from_checkpoint;
      LONGSTRIDE_ASSIGN_OR_RETURN(
          child.pid, launcher_.Start(SpecOf(place, child.number, micro_batch, from_checkpoint)));
      child.running = true;
      child.incarnation.clear();
    }
    started_ = true;
    return Status();
  }

  // `longstride scale` leaves the number in a file.
  void TakeScale() {
    const std::string path = options_.directory.replicas();
    if (access(path.c_str(), R_OK) != 0) return;
    const Result<std::string> text = ReadFile(path);
    ::unlink(path.c_str());
    if (!text.ok()) return;
    server_->service().WithJob(key_, [&](Coordinator& coordinator, TimePoint) {
      if (const Status scaled = coordinator.Scale(std::atoll(text->c_str())); !scaled.ok())
        LogWarning("run", scaled.error().message);
    });
  }

  ProcessSpec SpecOf(const WorkerPlace& place, int number, std::optional<int64_t> micro_batch,
                     bool from_checkpoint) const {
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
    if (micro_batch) {
      spec.arguments.insert(spec.arguments.end(), {"--micro-batch", std::to_string(*micro_batch)});
    }
    if (from_checkpoint) {
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
    if (const auto* joined = std::get_if<JoinedEvent>(&event.data)) {
      const WorkerId& id = joined->join.worker;
      children_[{id.group, id.index}].incarnation = id.incarnation;
    } else if (const auto* lost = std::get_if<WorkerLostEvent>(&event.data)) {
      const WorkerPlace place{lost->worker.group, lost->worker.index};
      culprit_ = place;
      // It may be frozen, or cut off: its place is wanted for another.
      const Child& child = children_[place];
      if (child.running && child.incarnation == lost->worker.incarnation)
        launcher_.Signal(child.pid, SIGKILL);
    } else if (const auto* ended = std::get_if<EndedEvent>(&event.data)) {
      end_ = ended->end;
      ended_at_ = clock_.Now();
      if (end_->outcome != JobOutcome::kFailed) culprit_.reset();
    }
  }

  void LookAtMemory() {
    for (const auto& [place, child] : children_) {
      if (child.running) memory_kills_.Look(child.pid);
    }
  }

  void ReapWorkers() {
    while (const auto exit = launcher_.Reap()) {
      // A shell between this process and the worker says it by its exit code.
      const bool out_of_memory =
          memory_kills_.WasKilled(exit->pid, exit->exit_code == 128 + SIGKILL);
      const auto entry = std::ranges::find_if(
          children_, [&](const auto& c) { return c.second.pid == exit->pid && c.second.running; });
      if (entry == children_.end()) continue;
      const WorkerPlace& place = entry->first;
      Child& child = entry->second;
      child.running = false;
      child.start_at =
          clock_.Now() + std::min(kLastRestart, kFirstRestart * (1 << std::min(child.restarts, 8)));
      ++child.restarts;
      server_->service().WithJob(key_, [&](Coordinator& coordinator, TimePoint now) {
        const bool ended = coordinator.end().has_value();
        const std::vector<WorkerPlace> wanted = coordinator.wanted();
        const bool released = std::ranges::find(wanted, place) == wanted.end();
        if (released) child.restarts = 0;
        coordinator.WorkerExited(place.group, place.index, exit->exit_code, exit->Text(),
                                 !child.incarnation.empty(), now, out_of_memory);
        // A failure before it joined has no worker that the coordinator could name.
        if (!ended && coordinator.end() && coordinator.end()->outcome == JobOutcome::kFailed)
          culprit_ = place;
      });
    }
  }

  void HandleInterrupts() {
    const int interrupts = hooks_.interrupts ? hooks_.interrupts() : 0;
    if (interrupts > 0 && !stop_requested_) {
      stop_requested_ = true;
      RequestStop("interrupted by the user");
    }
    if (interrupts > 1) SignalAll(SIGKILL);
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
    SignalAll(signal);
  }

  void SignalAll(int signal) {
    for (const auto& [place, child] : children_) {
      if (child.running) launcher_.Signal(child.pid, signal);
    }
  }

  bool AnyRunning() const {
    return std::ranges::any_of(children_, [](const auto& c) { return c.second.running; });
  }

  const LocalRunOptions& options_;
  const LocalRunHooks& hooks_;
  ProcessLauncher& launcher_;
  const Clock& clock_;
  const JobKey key_;
  std::unique_ptr<CoordinatorServer> server_;
  std::map<WorkerPlace, Child> children_;
  MemoryKillWatch memory_kills_;
  bool started_ = false;
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
