// Where a run keeps what it leaves behind:
//   job.yaml       the manifest with every default filled in
//   run.json       facts that the rounds do not carry (RunFacts)
//   rounds.jsonl   one line a committed round (cli/round_log.h)
//   plans.jsonl    one line an issued plan
//   events.jsonl   what happened, a line each
//   logs/worker-<i>.log
//   checkpoints/
//   lock           held while a run is going (cli/run_lock.h)
#pragma once

#include <string>
#include <vector>

#include "cli/closing_summary.h"
#include "cli/round_log.h"
#include "core/base/result.h"
#include "core/protocol/messages.h"

namespace longstride {

class RunDirectory {
 public:
  RunDirectory() = default;  // of no run
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}

  // Makes the folders. kUser if the directory holds a run already, or cannot be made.
  Status Create() const;
  // kUser, saying what is missing, if this is no run directory.
  Status CheckExists() const;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string job() const { return path_ + "/job.yaml"; }
  [[nodiscard]] std::string facts() const { return path_ + "/run.json"; }
  [[nodiscard]] std::string rounds() const { return path_ + "/rounds.jsonl"; }
  [[nodiscard]] std::string plans() const { return path_ + "/plans.jsonl"; }
  [[nodiscard]] std::string events() const { return path_ + "/events.jsonl"; }
  [[nodiscard]] std::string lock() const { return path_ + "/lock"; }
  [[nodiscard]] std::string token() const { return path_ + "/token"; }
  // Where `longstride scale` leaves a number for a run that is going.
  [[nodiscard]] std::string replicas() const { return path_ + "/replicas"; }
  [[nodiscard]] std::string checkpoints() const { return path_ + "/checkpoints"; }
  [[nodiscard]] std::string WorkerLog(int worker) const;
  // The round of the newest complete checkpoint; 0 if there is none.
  [[nodiscard]] int64_t NewestCheckpoint() const;

 private:
  std::string path_;
};

// "runs/<name>-20261124-080000" in UTC; with "-2", "-3", ... if that exists.
[[nodiscard]] std::string DefaultRunPath(const std::string& job_name, double unix_seconds);

[[nodiscard]] Status WriteFacts(const std::string& path, const RunFacts& facts);
[[nodiscard]] Result<RunFacts> ReadFacts(const std::string& path);

// The plans of plans.jsonl; of lines with the same version, the last (a resumed run may issue anew
// what a voided one did). A torn last line is left out. No file, no plans.
[[nodiscard]] Result<std::vector<Plan>> ReadPlans(const std::string& path);

// Writes a file whole or not at all (what was there stays then), readable by its owner only if
// `secret`.
[[nodiscard]] Status WriteFile(const std::string& path, const std::string& text,
                               bool secret = false);
[[nodiscard]] Result<std::string> ReadFile(const std::string& path);

// The last `lines` lines of a file, "" if there is none; reads at most its last 64 KiB.
[[nodiscard]] std::string TailOf(const std::string& path, int lines);

}  // namespace longstride
