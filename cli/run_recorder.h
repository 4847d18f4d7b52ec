// Writes what a run's coordinator tells into the run directory's files. Not thread-safe.
#pragma once

#include <memory>

#include "cli/run_directory.h"
#include "controller/coordinator/epoch_size.h"
#include "controller/coordinator/events.h"
#include "core/base/result.h"

namespace longstride {

class RunRecorder {
 public:
  // `last_round`: of the records that hold in rounds.jsonl so far; `facts`: those of run.json so
  // far.
  [[nodiscard]] static Result<std::unique_ptr<RunRecorder>> Open(const RunDirectory& directory,
                                                                 int64_t last_round,
                                                                 const RunFacts& facts,
                                                                 DataPlacement placement);
  // kResource when the disk is full.
  Status Write(const Event& event);

  [[nodiscard]] const RunFacts& facts() const { return facts_; }

 private:
  RunRecorder(const RunDirectory& directory, const RunFacts& facts, DataPlacement placement,
              std::unique_ptr<LineFile> events, std::unique_ptr<LineFile> plans,
              RoundLogWriter rounds)
      : directory_(directory),
        facts_(facts),
        epoch_(placement),
        events_(std::move(events)),
        plans_(std::move(plans)),
        rounds_(std::move(rounds)) {}

  const RunDirectory directory_;
  RunFacts facts_;
  EpochSize epoch_;
  std::unique_ptr<LineFile> events_;
  std::unique_ptr<LineFile> plans_;
  RoundLogWriter rounds_;
};

}  // namespace longstride
