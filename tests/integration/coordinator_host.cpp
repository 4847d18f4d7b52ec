// A coordinator as a process of its own, for tests that kill it and start it anew:
//   coordinator_host JOB.yaml DIRECTORY PORT TERM [LIMIT]
// Hosts the job on 127.0.0.1:PORT (0: any), takes it over when TERM is above 1, writes
// DIRECTORY/rounds.jsonl and events.jsonl before any worker hears of what they say, and "port URL"
// to DIRECTORY/endpoint. LIMIT: seconds of silence after which a worker is dead. SIGTERM asks the
// job to stop. Exits with 0 when the job has ended well.
#include <poll.h>
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/round_log.h"
#include "controller/http/coordinator_server.h"
#include "core/spec/parse.h"
#include "core/spec/to_json.h"

namespace longstride {
namespace {

std::atomic<bool> stop_asked{false};

Takeover OnRecord(const std::string& path) {
  const auto history = ReadRoundLog(path);
  if (!history.ok() || history->rounds.empty()) return {};
  const RoundReport& last = history->rounds.back().common();
  return {.round = last.round, .generation = last.generation};
}

int Fail(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  return ExitCodeOf(error.code);
}

int Host(const std::string& manifest, const std::string& directory, int port, int64_t term,
         std::optional<Duration> heartbeat_limit) {
  const auto job = LoadTrainingJob(manifest);
  if (!job.ok()) return Fail(job.error());
  const std::string rounds_path = directory + "/rounds.jsonl";
  const Takeover record = OnRecord(rounds_path);
  auto rounds = LineFile::OpenForAppend(rounds_path);
  auto events = LineFile::OpenForAppend(directory + "/events.jsonl");
  if (!rounds.ok()) return Fail(rounds.error());
  if (!events.ok()) return Fail(events.error());
  RoundLogWriter writer(std::move(*rounds), record.round);

  const SystemClock clock;
  HttpServerOptions http;
  http.port = static_cast<uint16_t>(port);
  auto server = CoordinatorServer::Start(http, clock);
  if (!server.ok()) return Fail(server.error());
  CoordinatorService& service = (*server)->service();
  service.StandBy(term);
  const JobKey key{job->metadata.namespace_, job->metadata.name};
  CoordinatorOptions options;
  options.job = *job;
  options.term = term;
  if (term > 1) options.takeover = record;
  if (heartbeat_limit) options.heartbeat_limit = *heartbeat_limit;
  if (const Status added = service.AddJob(key, "secret", ToJson(*job).dump(), options); !added.ok())
    return Fail(added.error());
  service.SetEventSink(key, [&](const Event& event) {
    Status written = (*events)->Append(ToJsonLine(event));
    const auto* round = std::get_if<RoundCommittedEvent>(&event.data);
    if (written.ok() && round) written = writer.Append(round->record);
    if (!written.ok()) std::abort();
  });
  service.Lead();
  const std::string endpoint = directory + "/endpoint";
  std::ofstream(endpoint + ".new") << (*server)->port() << " " << (*server)->UrlOf(key) << "\n";
  std::filesystem::rename(endpoint + ".new", endpoint);

  std::optional<JobEnd> end;
  for (bool quiet = false; !end || !quiet; poll(nullptr, 0, 50)) {
    service.WithJob(key, [&](Coordinator& coordinator, TimePoint) {
      if (stop_asked) coordinator.RequestStop("the test asked for it");
      end = coordinator.end();
      quiet = coordinator.quiet();
    });
  }
  return end->outcome == JobOutcome::kFailed ? ExitCodeOf(end->code) : 0;
}

}  // namespace
}  // namespace longstride

int main(int argc, char** argv) {
  if (argc != 5 && argc != 6) return 2;
  signal(SIGTERM, [](int) { longstride::stop_asked = true; });
  std::optional<longstride::Duration> limit;
  if (argc == 6) limit = longstride::FromSeconds(std::atof(argv[5]));
  return longstride::Host(argv[1], argv[2], std::atoi(argv[3]), std::atoll(argv[4]), limit);
}
