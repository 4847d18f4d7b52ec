// kubectl-longstride: training jobs from the command line, as `kubectl longstride ...`.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "cli/dispatch.h"
#include "cli/kubectl/commands.h"
#include "cli/kubectl/kube_job_api.h"
#include "cli/kubectl/submission.h"
#include "cli/set_option.h"
#include "controller/kube/cluster_config.h"
#include "controller/kube/cpprest_transport.h"
#include "core/base/clock.h"

namespace longstride {
namespace {

constexpr int64_t kLongestWait = 365 * 24 * 3600;  // seconds

struct Flags {
  std::string kubeconfig, context, name_space;
  std::string name, manifest, worker;
  std::vector<std::string> sets;
  bool wait = false, delete_after = false, follow = false;
  int64_t timeout_seconds = 0, replicas = 0, tail = -1;
};

void Print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

const Clock& TheClock() {
  static const SystemClock kClock;
  return kClock;
}

// "" as namespace: that of the kubeconfig's context.
Result<std::unique_ptr<JobApi>> Connect(const Flags& flags, std::string name_space) {
  kube::KubeconfigOptions options;
  if (!flags.kubeconfig.empty()) options.paths = {flags.kubeconfig};
  options.context = flags.context;
  LONGSTRIDE_ASSIGN_OR_RETURN(const kube::ClusterConfig cluster,
                              kube::LoadUserClusterConfig(options, TheClock()));
  kube::CpprestTransportOptions transport;
  transport.url = cluster.server;
  transport.tls = cluster.tls;
  LONGSTRIDE_ASSIGN_OR_RETURN(std::unique_ptr<kube::HttpTransport> http,
                              kube::MakeCpprestTransport(transport));
  if (name_space.empty()) name_space = cluster.default_namespace;
  return MakeKubeJobApi(std::move(http), cluster.credentials, name_space, TheClock());
}

Result<std::unique_ptr<JobApi>> Connect(const Flags& flags) {
  return Connect(flags, flags.name_space);
}

WaitOptions Waiting(const Flags& flags) {
  WaitOptions options;
  if (flags.timeout_seconds > 0) options.deadline = std::chrono::seconds(flags.timeout_seconds);
  return options;
}

Status Submit(const Flags& flags) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::vector<Override> overrides, ParseOverrides(flags.sets));
  LONGSTRIDE_ASSIGN_OR_RETURN(const Submission submission,
                              LoadSubmission(flags.manifest, overrides, flags.name_space));
  LONGSTRIDE_ASSIGN_OR_RETURN(const auto api, Connect(flags, submission.name_space));
  WaitOptions waiting = Waiting(flags);
  LONGSTRIDE_ASSIGN_OR_RETURN(waiting.uid, SubmitJob(*api, submission.job, Print));
  if (!flags.wait) return {};
  const auto await = flags.delete_after ? AwaitEndAndDelete : AwaitEnd;
  return await(*api, submission.job.metadata.name, waiting, Print);
}

Status Suspend(const Flags& flags, bool suspended) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const auto api, Connect(flags));
  return SetSuspended(*api, flags.name, suspended, flags.wait, Waiting(flags), Print);
}

void AddName(CLI::App* command, const std::shared_ptr<Flags>& flags) {
  command->add_option("NAME", flags->name, "name of the job")->required()->type_name("");
}

void AddWaiting(CLI::App* command, const std::shared_ptr<Flags>& flags, const char* until) {
  CLI::Option* wait = command->add_flag("--wait", flags->wait, std::string("wait until ") + until);
  command->add_option("--timeout", flags->timeout_seconds, "seconds to wait at most; 0 = for ever")
      ->check(CLI::Range(int64_t{0}, kLongestWait))
      ->needs(wait)
      ->type_name("S");
}

void AddCommands(CLI::App& app, const std::shared_ptr<Flags>& flags, Action& chosen) {
  const auto add = [&](const char* name, const char* what, Action action) {
    CLI::App* command = app.add_subcommand(name, what);
    command->fallthrough();
    command->callback([&chosen, action = std::move(action)] { chosen = action; });
    return command;
  };
  CLI::App* submit =
      add("submit", "validate a manifest and create its job", [flags] { return Submit(*flags); });
  submit->add_option("FILE", flags->manifest, "manifest")->required()->type_name("");
  AddSetOption(*submit, flags->sets);
  AddWaiting(submit, flags, "the job has ended; fails if it does");
  submit
      ->add_flag("--delete", flags->delete_after,
                 "with --wait: delete the job at its end, or after --timeout")
      ->needs("--wait");

  CLI::App* status = add("status", "show how a job goes, or list all", [flags]() -> Status {
    LONGSTRIDE_ASSIGN_OR_RETURN(const auto api, Connect(*flags));
    return ShowStatus(*api, flags->name, TheClock().UnixSeconds(), Print);
  });
  status->add_option("NAME", flags->name, "name of the job; without it, all")->type_name("");

  CLI::App* logs = add("logs", "print the workers' logs", [flags]() -> Status {
    LONGSTRIDE_ASSIGN_OR_RETURN(const auto api, Connect(*flags));
    LogOptions options;
    options.follow = flags->follow;
    if (flags->tail >= 0) options.tail = flags->tail;
    return ShowLogs(*api, flags->name, flags->worker, options, {}, Print);
  });
  AddName(logs, flags);
  logs->add_option("--worker", flags->worker, "one worker, by group and index; without it, all")
      ->type_name("GROUP-INDEX");
  logs->add_flag("-f,--follow", flags->follow, "go on with what is logged from now on");
  logs->add_option("--tail", flags->tail, "only the last lines of each")->type_name("N");

  CLI::App* suspend =
      add("suspend", "give the pods up, with spec.checkpoint.storage after a checkpoint",
          [flags] { return Suspend(*flags, true); });
  suspend->footer(
      "Without spec.checkpoint.storage: {claimName: NAME} what was trained goes with the pods.\n"
      "Give it in the manifest, or while the job is suspended for what is trained from then on.");
  AddName(suspend, flags);
  AddWaiting(suspend, flags, "the workers are gone");
  CLI::App* resume =
      add("resume", "go on from the checkpoint, without spec.checkpoint.storage from round 0",
          [flags] { return Suspend(*flags, false); });
  AddName(resume, flags);
  AddWaiting(resume, flags, "the job trains again");

  CLI::App* cancel = add("cancel", "delete a job and its pods", [flags]() -> Status {
    LONGSTRIDE_ASSIGN_OR_RETURN(const auto api, Connect(*flags));
    return CancelJob(*api, flags->name, Print);
  });
  AddName(cancel, flags);

  CLI::App* scale = add("scale", "change the number of workers", [flags]() -> Status {
    LONGSTRIDE_ASSIGN_OR_RETURN(const auto api, Connect(*flags));
    return ScaleJob(*api, flags->name, flags->replicas, Print);
  });
  AddName(scale, flags);
  scale->add_option("N", flags->replicas, "workers from now on")->required()->type_name("");
}

int Main(int argc, char** argv) {
  CLI::App app("Training jobs in a cluster.", "kubectl longstride");
  app.footer("Example:\n  kubectl longstride submit manifests/fashion-mnist.yaml --wait");
  app.set_version_flag("--version", std::string("kubectl-longstride ") + LONGSTRIDE_VERSION);
  const auto flags = std::make_shared<Flags>();
  app.add_option("-n,--namespace", flags->name_space,
                 "namespace; by default the manifest's, which it must not contradict, or the "
                 "context's")
      ->type_name("NAME");
  app.add_option("--context", flags->context, "context of the kubeconfig")->type_name("NAME");
  app.add_option("--kubeconfig", flags->kubeconfig,
                 "kubeconfig; by default $KUBECONFIG, or "
                 "~/.kube/config, or in a pod its service account")
      ->type_name("FILE");
  Action chosen;
  AddCommands(app, flags, chosen);
  return Dispatch(app, argc, argv, chosen);
}

}  // namespace
}  // namespace longstride

int main(int argc, char** argv) {
  return longstride::Main(argc, argv);
}
