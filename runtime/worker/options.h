// The worker's flags. Each has an environment variable, as pods are configured by those:
// --coordinator is LONGSTRIDE_COORDINATOR, --token-file LONGSTRIDE_TOKEN_FILE, and so on.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace longstride {

struct WorkerOptions {
  std::string coordinator;  // "https://10.0.0.1:8443/v1/jobs/default/name"
  std::string token_file;   // read again when it changes
  std::string ca_file;      // certificates that an https coordinator's must be signed by
  std::string group;
  int64_t index = 0;
  std::string incarnation;      // unique to this process, as its pod's UID; "" = a random one
  std::string address;          // that peers reach it at; "" = the one that faces the coordinator
  std::string out;              // checkpoints go to <out>/checkpoints
  std::string resume;           // continue from <resume>/checkpoints; "" = from the start
  bool resume_if_any = false;   // a folder without a checkpoint means from the start
  int64_t metrics_port = 0;     // 0 = a free port of loopback; otherwise that port of every address
  int64_t threads = 0;          // 0 = as the CPU limits allow
  std::string device = "auto";  // as of ChooseDevice
  int64_t memory_bytes = 0;     // this worker's part of the machine's memory; 0 = all of it
  int64_t micro_batch = 0;      // largest micro-batch to try, samples; 0 = as memory allows
  int64_t grace_seconds = 0;    // from SIGTERM to SIGKILL; 0 = nobody kills
};

// The options, or the exit code with which to end: 0 after --help, 2 after a fault that was
// printed.
[[nodiscard]] std::variant<WorkerOptions, int> ParseWorkerOptions(int argc, char** argv);

}  // namespace longstride
