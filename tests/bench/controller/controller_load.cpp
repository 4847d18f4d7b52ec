// The controller under load:
//   controller_load --controller PROGRAM [--jobs N] [--out FILE] [-- ARGUMENT...]
// The program longstride-controller, a process of its own, against the fake API server in this one,
// over TLS on loopback. First N jobs of four pods are created at a steady rate: how long until all
// objects of each are there. Then every pod runs, and its simulated worker reports a round a
// second: what the controller writes and uses meanwhile. Figures of the controller are its
// process's; this one takes its share of the machine's CPUs, too (load_generator_cpu_cores).
// rss_megabytes is the most that it held so far, settled_rss_megabytes what it holds afterwards.
// What is asked for stands beside what was reached: jobs a second, jobs that train.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "tests/bench/controller/controller_process.h"
#include "tests/bench/controller/job_fleet.h"
#include "tests/bench/controller/simulated_workers.h"
#include "tests/bench/process_usage.h"

namespace longstride {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using Steady = std::chrono::steady_clock;

constexpr int kPods = 4;
constexpr seconds kLimit(300);
constexpr seconds kJoinLimit(120);
constexpr seconds kSettle(3);  // for status writes and events that follow the objects

struct Options {
  std::string controller;
  int jobs = 1000;
  double jobs_per_second = 50;
  double running_seconds = 30;
  std::string out;
  std::vector<std::string> arguments;
};

double Percentile(std::vector<double> values, double share) {
  if (values.empty()) return -1;
  std::ranges::sort(values);
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

int64_t WritesIn(const kube::FakeApiCounts& counts) {
  int64_t writes = 0;
  for (const auto& [verb, count] : counts.by_verb) {
    const bool reads = verb == "get" || verb == "list" || verb == "watch" || verb == "review";
    if (!reads) writes += count;
  }
  return writes;
}

// What was used and asked between two moments.
class Span {
 public:
  Span(const kube::FakeApiServer& api, pid_t controller)
      : api_(api),
        controller_(controller),
        begin_(Steady::now()),
        usage_(UsageOf(controller)),
        own_(UsageOf(getpid())),
        counts_(api.counts()) {}

  [[nodiscard]] double elapsed() const {
    return std::chrono::duration<double>(Steady::now() - begin_).count();
  }
  [[nodiscard]] double cpu_seconds() const {
    return UsageOf(controller_).cpu_seconds - usage_.cpu_seconds;
  }
  [[nodiscard]] double own_cpu_seconds() const {
    return UsageOf(getpid()).cpu_seconds - own_.cpu_seconds;
  }
  [[nodiscard]] int64_t requests() const { return api_.counts().requests - counts_.requests; }
  [[nodiscard]] int64_t writes() const { return WritesIn(api_.counts()) - WritesIn(counts_); }
  // Per `divisor`, for instance per job or per second.
  [[nodiscard]] json ByVerb(double divisor) const {
    json by_verb = json::object();
    for (const auto& [verb, count] : api_.counts().by_verb) {
      const auto before = counts_.by_verb.find(verb);
      const int64_t more = count - (before == counts_.by_verb.end() ? 0 : before->second);
      if (more > 0) by_verb[verb] = static_cast<double>(more) / divisor;
    }
    return by_verb;
  }

 private:
  const kube::FakeApiServer& api_;
  const pid_t controller_;
  const Steady::time_point begin_;
  const Usage usage_, own_;
  const kube::FakeApiCounts counts_;
};

// The last of the fleet's jobs has shown that the controller leads; the others are submitted here.
std::optional<json> Submit(const Options& o, const kube::FakeApiServer& api, pid_t controller,
                           JobFleet& fleet) {
  const int jobs = o.jobs;
  const Span span(api, controller);
  const auto begin = Steady::now();
  for (int i = 0; i < jobs; ++i) {
    std::this_thread::sleep_until(begin +
                                  std::chrono::duration_cast<Steady::duration>(
                                      std::chrono::duration<double>(i / o.jobs_per_second)));
    fleet.Submit(i);
  }
  const double submitting = span.elapsed();
  if (!fleet.WaitApplied(jobs + 1, kLimit)) return std::nullopt;
  const double applied = span.elapsed();
  std::this_thread::sleep_for(kSettle);
  std::vector<double> delays = fleet.Delays();
  delays.pop_back();
  const Usage usage = UsageOf(controller);
  return json{{"jobs", jobs},
              {"pods_per_job", kPods},
              {"asked_jobs_per_second", o.jobs_per_second},
              {"jobs_per_second", jobs / submitting},
              {"queue_to_applied_p50_seconds", Percentile(delays, 0.5)},
              {"queue_to_applied_p99_seconds", Percentile(delays, 0.99)},
              {"queue_to_applied_max_seconds", Percentile(delays, 1)},
              {"all_applied_seconds", applied},
              {"rss_megabytes", usage.peak_resident_bytes / 1e6},
              {"settled_rss_megabytes", usage.resident_bytes / 1e6},
              {"cpu_ms_per_job", 1000 * span.cpu_seconds() / jobs},
              {"api_requests_per_job", static_cast<double>(span.requests()) / jobs},
              {"api_requests_per_job_by_verb", span.ByVerb(jobs)},
              {"load_generator_cpu_cores", span.own_cpu_seconds() / span.elapsed()}};
}

std::optional<json> Train(const Options& o, const kube::FakeApiServer& api,
                          const ControllerProcess& controller, JobFleet& fleet) {
  for (int i = 0; i < o.jobs; ++i) fleet.Run(i);
  SimulatedWorkers workers(fleet, controller.coordinator_port(), o.jobs, kPods);
  const auto begin = Steady::now();
  while (workers.training() < o.jobs && Steady::now() < begin + kJoinLimit)
    workers.RunUntil(Steady::now() + std::chrono::milliseconds(100));
  // On a machine that is busy with other things a few workers may be given up for lost meanwhile:
  // the figures show how many jobs train, and table.py judges them only if all do.
  if (workers.training() < o.jobs * 19 / 20) {
    std::fprintf(stderr, "only %d jobs train; last refusal: %s\n", workers.training(),
                 workers.last_refusal().c_str());
    return std::nullopt;
  }
  const double joining = std::chrono::duration<double>(Steady::now() - begin).count();
  workers.RunUntil(Steady::now() + 2 * kSettle);  // what joining brought about is written
  (void)workers.TakeDelays();
  const int64_t refused = workers.refused();
  const Span span(api, controller.pid());
  workers.RunUntil(Steady::now() + std::chrono::duration_cast<Steady::duration>(
                                       std::chrono::duration<double>(o.running_seconds)));
  const double elapsed = span.elapsed();
  const std::vector<double> delays = workers.TakeDelays();
  const Usage usage = UsageOf(controller.pid());
  return json{{"asked_jobs", o.jobs},
              {"jobs", workers.training()},
              {"workers", o.jobs * kPods},
              {"seconds", elapsed},
              {"join_all_seconds", joining},
              {"reports_per_second", static_cast<double>(delays.size()) / elapsed},
              {"report_p50_seconds", Percentile(delays, 0.5)},
              {"report_p99_seconds", Percentile(delays, 0.99)},
              {"refused", workers.refused() - refused},
              {"api_writes_per_second", static_cast<double>(span.writes()) / elapsed},
              {"api_requests_per_second_by_verb", span.ByVerb(elapsed)},
              {"cpu_cores", span.cpu_seconds() / elapsed},
              {"rss_megabytes", usage.peak_resident_bytes / 1e6},
              {"settled_rss_megabytes", usage.resident_bytes / 1e6},
              {"load_generator_cpu_cores", span.own_cpu_seconds() / elapsed}};
}

std::optional<json> Load(const Options& o, const std::filesystem::path& folder) {
  kube::FakeApiOptions api_options;
  api_options.kept_versions = 200000;
  auto api = kube::FakeApiServer::Start(api_options);
  if (!api.ok()) return std::nullopt;
  JobFleet fleet(**api, o.jobs + 1, kPods);
  auto controller = ControllerProcess::Start(o.controller, o.arguments, **api, folder);
  if (!controller.ok()) {
    std::fprintf(stderr, "%s\n", controller.error().message.c_str());
    return std::nullopt;
  }
  fleet.Submit(o.jobs);
  if (!fleet.WaitApplied(1, seconds(30))) return std::nullopt;
  std::this_thread::sleep_for(kSettle);
  const double idle = UsageOf((*controller)->pid()).resident_bytes / 1e6;
  std::optional<json> figures = Submit(o, **api, (*controller)->pid(), fleet);
  if (!figures) return std::nullopt;
  (*figures)["idle_rss_megabytes"] = idle;
  if (o.running_seconds > 0) {
    const std::optional<json> running = Train(o, **api, **controller, fleet);
    if (!running) return std::nullopt;
    (*figures)["running"] = *running;
  }
  return figures;
}

}  // namespace
}  // namespace longstride

int main(int argc, char** argv) {
  using namespace longstride;
  Options o;
  CLI::App app("The controller under load", "controller_load");
  app.add_option("--controller", o.controller, "the program longstride-controller")->required();
  app.add_option("--jobs", o.jobs, "of four pods each");
  app.add_option("--jobs-per-second", o.jobs_per_second, "created");
  app.add_option("--running-seconds", o.running_seconds, "with simulated workers; 0: without");
  app.add_option("--out", o.out, "file for the figures");
  app.add_option("arguments", o.arguments, "for the controller");
  CLI11_PARSE(app, argc, argv);
  signal(SIGPIPE, SIG_IGN);
  std::string folder = (std::filesystem::temp_directory_path() / "longstride-load-XXXXXX").string();
  if (!mkdtemp(folder.data())) return 1;
  const std::optional<json> figures = Load(o, folder);
  if (!figures) {
    std::fprintf(stderr, "controller_load: given up; the controller's log is in %s\n",
                 folder.c_str());
    return 1;
  }
  std::filesystem::remove_all(folder);
  std::printf("%s\n", figures->dump(2).c_str());
  if (!o.out.empty()) std::ofstream(o.out) << figures->dump(2) << "\n";
  return 0;
}
