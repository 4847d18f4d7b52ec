// The coordinator under load:
//   coordinator_load [--workers N] [--seconds S] [--in-process N] [--out FILE]
// N simulated workers over real TLS connections to a server in a process of its own: everybody
// connects and joins, heartbeats every 0.5 s for S seconds, then all connections are cut and
// everybody comes back at once (the storm). Then as many workers as --in-process says against the
// state machine alone, without sockets: labelled so. Delays count from when a heartbeat was due.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "controller/http/certificates.h"
#include "controller/http/coordinator_server.h"
#include "core/protocol/json.h"
#include "core/spec/to_json.h"
#include "tests/bench/coordinator/tls_swarm.h"
#include "tests/bench/process_usage.h"
#include "tests/controller/coordinator/samples.h"

namespace longstride {
namespace {

using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;
using nlohmann::json;

constexpr double kPeriod = 0.5;

TrainingJob LoadJob(int64_t workers) {
  TrainingJob job = MakeJob(workers);
  job.spec.workers = MakeGroups({"worker"});
  job.spec.workers[0].min_replicas = 1;
  job.spec.workers[0].max_replicas = workers;
  return job;
}

// The server's process: writes its port to `out` and serves until killed.
[[noreturn]] void Serve(int64_t workers, int out) {
  const SystemClock clock;
  const double now = clock.UnixSeconds();
  const auto authority = MakeAuthority("load", {now - 300, now + 86400});
  const auto leaf =
      MakeLeaf(*authority, {"coordinator", {}, {"127.0.0.1"}, {now - 300, now + 86400}});
  HttpServerOptions http;
  http.certificate = *ServerCertificate::Make(*leaf);
  auto server = CoordinatorServer::Start(http, clock);
  if (!server.ok()) _exit(1);
  CoordinatorOptions options;
  options.job = LoadJob(workers);
  const JobKey key{"default", "demo"};
  (void)(*server)->service().AddJob(key, "secret", ToJson(options.job).dump(), options);
  const uint16_t port = (*server)->port();
  if (write(out, &port, sizeof(port)) != sizeof(port)) _exit(1);
  while (true) (void)(*server)->service().WaitForEvents(key, std::chrono::seconds(1));
}

json Percentiles(std::vector<double> delays) {
  if (delays.empty()) return {{"count", 0}};
  std::ranges::sort(delays);
  const auto at = [&](double share) {
    return 1000 * delays[static_cast<size_t>(share * static_cast<double>(delays.size() - 1))];
  };
  return {{"count", delays.size()}, {"p50_ms", at(0.5)}, {"p99_ms", at(0.99)}, {"max_ms", at(1)}};
}

std::string Post(const std::string& verb, const std::string& body) {
  return "POST /v1/jobs/default/demo/" + verb +
         " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer secret\r\n"
         "Content-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string Heartbeat(int64_t index) {
  return Post("heartbeat", ToJsonText(HeartbeatRequest{MakeJoin(index).worker, {}, 0}));
}

Steady::duration Seconds(double seconds) {
  return std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(seconds));
}

// Runs until nobody waits for an answer; the seconds that it took.
double Drain(TlsSwarm& swarm) {
  const auto begin = Steady::now();
  while (swarm.busy() > 0 && Steady::now() - begin < std::chrono::seconds(60))
    swarm.RunUntil(Steady::now() + milliseconds(1));
  return std::chrono::duration<double>(Steady::now() - begin).count();
}

void Beat(TlsSwarm& swarm, int workers, double seconds) {
  const auto begin = Steady::now();
  const double step = kPeriod / workers;
  const auto beats = static_cast<int64_t>(seconds / step);
  for (int64_t k = 0; k < beats; ++k) {
    const auto due = begin + Seconds(static_cast<double>(k) * step);
    swarm.RunUntil(due);
    swarm.Ask(static_cast<int>(k % workers), Heartbeat(k % workers), due);
  }
  Drain(swarm);
}

json OverTls(int workers, double seconds) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return {};
  const int pid = fork();
  if (pid == 0) Serve(workers, ends[1]);
  close(ends[1]);  // so that a server that ends before it listens is not waited for
  uint16_t port = 0;
  if (read(ends[0], &port, sizeof(port)) != sizeof(port)) return {};
  const Usage before = UsageOf(pid);
  TlsSwarm swarm(port, workers);
  for (int i = 0; i < workers; ++i)
    swarm.Ask(i, Post("join", ToJsonText(MakeJoin(i))), Steady::now());
  const double joined = Drain(swarm);
  (void)swarm.TakeDelays();

  const Usage steady_begin = UsageOf(pid);
  const auto begin = Steady::now();
  Beat(swarm, workers, seconds);
  const double elapsed = std::chrono::duration<double>(Steady::now() - begin).count();
  const Usage steady_end = UsageOf(pid);
  const json steady = Percentiles(swarm.TakeDelays());

  swarm.Disconnect();
  const auto storm_begin = Steady::now();
  for (int i = 0; i < workers; ++i) swarm.Ask(i, Heartbeat(i), storm_begin);
  Drain(swarm);
  const double recovered = std::chrono::duration<double>(Steady::now() - storm_begin).count();
  const json storm = Percentiles(swarm.TakeDelays());
  Beat(swarm, workers, std::min(seconds, 5.0));
  const json after = Percentiles(swarm.TakeDelays());
  const Usage last = UsageOf(pid);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  close(ends[0]);
  close(ends[1]);
  return {{"workers", workers},
          {"join_all_seconds", joined},
          {"heartbeat", steady},
          {"server_cpu_share", (steady_end.cpu_seconds - steady_begin.cpu_seconds) / elapsed},
          {"bytes_per_worker", (steady_end.resident_bytes - before.resident_bytes) / workers},
          {"storm", storm},
          {"storm_seconds", recovered},
          {"heartbeat_after_storm", after},
          {"resident_bytes_at_end", last.resident_bytes},
          {"failures", swarm.failures()}};
}

json InProcess(int workers) {
  const auto at = [](Steady::time_point begin) {
    return std::chrono::duration<double>(Steady::now() - begin).count();
  };
  ManualClock clock;
  const double before = UsageOf(getpid()).resident_bytes;
  CoordinatorOptions options;
  options.job = LoadJob(workers);
  options.job.spec.training.batch.initial = workers;
  Coordinator coordinator(options, clock.Now());
  auto begin = Steady::now();
  for (int64_t i = 0; i < workers; ++i) (void)coordinator.Join(MakeJoin(i), clock.Now());
  const double join_seconds = at(begin);
  (void)coordinator.DrainEvents();
  std::vector<double> beats, ticks;
  double busy = 0;
  constexpr int kPeriods = 20;
  for (int period = 0; period < kPeriods; ++period) {
    for (int64_t i = 0; i < workers; ++i) {
      const HeartbeatRequest request{MakeJoin(i).worker, {1, 1}, 0};
      begin = Steady::now();
      (void)coordinator.Heartbeat(request, clock.Now());
      beats.push_back(at(begin));
      busy += beats.back();
      if (i % std::max(1, workers / 5) != 0) continue;
      clock.Advance(milliseconds(100));
      begin = Steady::now();
      coordinator.Tick(clock.Now());
      ticks.push_back(at(begin));
      busy += ticks.back();
    }
  }
  begin = Steady::now();
  for (int64_t r = 0; r < workers; ++r)
    (void)coordinator.Report({MakeJoin(r).worker, MakeReport({1, 1}, 1, r, workers, 16 * workers)},
                             clock.Now());
  const double round_seconds = at(begin);
  const bool committed = coordinator.ledger().round() == 1;
  const double after = UsageOf(getpid()).resident_bytes;
  return {{"what", "the state machine alone, without sockets or JSON"},
          {"workers", workers},
          {"join_all_seconds", join_seconds},
          {"heartbeat", Percentiles(beats)},
          {"tick", Percentiles(ticks)},
          {"cpu_share", busy / (kPeriods * kPeriod)},
          {"round_of_reports_seconds", round_seconds},
          {"round_committed", committed},
          {"bytes_per_worker", (after - before) / workers}};
}

}  // namespace
}  // namespace longstride

int main(int argc, char** argv) {
  using namespace longstride;
  int workers = 1000, in_process = 10000;
  double seconds = 30;
  std::string out;
  CLI::App app("The coordinator under load", "coordinator_load");
  app.add_option("--workers", workers, "over TLS");
  app.add_option("--in-process", in_process, "against the state machine");
  app.add_option("--seconds", seconds, "of steady heartbeats");
  app.add_option("--out", out, "file for the figures");
  CLI11_PARSE(app, argc, argv);
  signal(SIGPIPE, SIG_IGN);
  json figures;
  figures["over_tls"] = OverTls(workers, seconds);  // forks, so it comes first
  figures["in_process"] = InProcess(in_process);
  std::printf("%s\n", figures.dump(2).c_str());
  if (!out.empty()) std::ofstream(out) << figures.dump(2) << "\n";
  return 0;
}
