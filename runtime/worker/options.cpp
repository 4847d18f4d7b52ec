#include "runtime/worker/options.h"

#include <CLI/CLI.hpp>

#include "core/base/result.h"

namespace longstride {

std::variant<WorkerOptions, int> ParseWorkerOptions(int argc, char** argv) {
  WorkerOptions o;
  CLI::App app(
      "The runtime of one worker: joins a job's coordinator, profiles this machine, trains, "
      "synchronizes "
      "and reports. Started by `longstride run` or by the operator.",
      "longstride-worker");
  app.add_option("--coordinator", o.coordinator, "URL of the job at its coordinator")
      ->required()
      ->envname("LONGSTRIDE_COORDINATOR")
      ->type_name("URL");
  app.add_option("--token-file", o.token_file, "file with the bearer token")
      ->required()
      ->envname("LONGSTRIDE_TOKEN_FILE")
      ->type_name("FILE");
  app.add_option("--ca-file", o.ca_file,
                 "PEM file of the certificates that an https coordinator's must be signed by; "
                 "default: the system's")
      ->envname("LONGSTRIDE_CA_FILE")
      ->type_name("FILE");
  app.add_option("--group", o.group, "worker group")
      ->required()
      ->envname("LONGSTRIDE_GROUP")
      ->type_name("NAME");
  app.add_option("--index", o.index, "index within the group")
      ->required()
      ->envname("LONGSTRIDE_INDEX")
      ->check(CLI::NonNegativeNumber)
      ->type_name("I");
  app.add_option("--incarnation", o.incarnation,
                 "name of this process, unique among all that ever have its place; default: random")
      ->envname("LONGSTRIDE_INCARNATION")
      ->type_name("NAME");
  app.add_option("--address", o.address,
                 "IP address that peers reach it at; default: the one that faces the coordinator")
      ->envname("LONGSTRIDE_ADDRESS")
      ->type_name("IP");
  app.add_option(
         "--out", o.out,
         "checkpoints are written to DIR/checkpoints, which all workers share; default: none are")
      ->envname("LONGSTRIDE_OUT")
      ->type_name("DIR");
  app.add_option("--resume", o.resume, "continue from the newest checkpoint in DIR/checkpoints")
      ->envname("LONGSTRIDE_RESUME")
      ->type_name("DIR");
  app.add_flag("--resume-if-any", o.resume_if_any,
               "with --resume: start anew if DIR has no checkpoint yet")
      ->envname("LONGSTRIDE_RESUME_IF_ANY");
  app.add_option("--metrics-port", o.metrics_port,
                 "serve /metrics on this port of every address; default: a free port of loopback")
      ->envname("LONGSTRIDE_METRICS_PORT")
      ->check(CLI::Range(1, 65535))
      ->type_name("PORT");
  app.add_option("--threads", o.threads,
                 "compute threads; default, or 0: as many as the CPU limits allow")
      ->envname("LONGSTRIDE_THREADS")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  app.add_option(
         "--device", o.device,
         "cpu, cuda, cuda:N, or auto: the first CUDA device, or the CPU where there is none")
      ->envname("LONGSTRIDE_DEVICE")
      ->capture_default_str()
      ->type_name("DEVICE");
  app.add_option("--memory", o.memory_bytes,
                 "bytes of the device's memory that this worker may take; default: its limits")
      ->envname("LONGSTRIDE_MEMORY")
      ->check(CLI::PositiveNumber)
      ->type_name("BYTES");
  app.add_option("--micro-batch", o.micro_batch,
                 "largest micro-batch to try, in samples, where an earlier process in this place "
                 "ran out of memory; default: as memory allows")
      ->envname("LONGSTRIDE_MICRO_BATCH")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  app.add_option("--grace-seconds", o.grace_seconds,
                 "seconds from SIGTERM until whoever sends it kills; a round that takes longer is "
                 "left unfinished; default, or 0: as long as the round takes")
      ->envname("LONGSTRIDE_GRACE_SECONDS")
      ->check(CLI::NonNegativeNumber)
      ->type_name("S");
  app.footer(
      "SIGTERM or SIGINT: finish the round, write a checkpoint, exit with 7; without the time for "
      "that, exit with 7\n"
      "in the middle of the round. A second one: exit at once with 128 + the signal's number; the "
      "last checkpoint stays.\n"
      "Exit codes: 0 done, 1 bug, 2 user, 3 data, 4 resource, 5 lost peer, 6 transient, 7 "
      "interrupted.\n\n"
      "Example:\n  longstride-worker --coordinator http://10.0.0.1:8443/v1/jobs/default/demo "
      "--token-file token \\\n"
      "      --group worker --index 0 --out /data/demo");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : ExitCodeOf(ErrorCode::kUser);
  }
  return o;
}

}  // namespace longstride
