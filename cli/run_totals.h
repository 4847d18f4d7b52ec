// What a run has done so far, added up from its committed rounds: the numbers behind the progress
// line and the closing table. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <optional>

#include "core/protocol/round_record.h"

namespace longstride {

struct RunTotals {
  int64_t workers = 0;     // largest number that took part in a round
  int64_t rounds = 0;      // committed
  int64_t last_round = 0;  // number of the last; differs from `rounds` only if records are missing
  int64_t steps = 0;       // local steps: the sum of H over rounds
  int64_t samples = 0;     // that count, over all workers
  int64_t discarded = 0;   // taken but left out: their change was not finite
  int64_t cursor = 0;      // positions handed out
  double seconds = 0;      // sum over rounds of the slowest worker's wall time
  double worker_seconds = 0;         // sum over rounds and workers
  double communication_seconds = 0;  // of worker_seconds, in collective calls
  double evaluation_seconds = 0;     // of `seconds`: the slowest worker's
  double sent_bytes = 0;             // over all workers
  int64_t first_global_batch = 0;
  int64_t global_batch = 0;
  int64_t local_steps = 0;
  // Of the last round, as in its report.
  double noise_variance = 0;
  double skew = 0;
  int64_t skew_limit = 0;
  bool local_data = false;
  double loss = 0;                        // of the last round
  std::optional<double> evaluation_loss;  // the last one made
  std::optional<double> evaluation_accuracy;
  bool target_reached = false;

  void Add(const RoundRecord& record);

  // Share of the workers' time that went into communication; 0 before the first round.
  [[nodiscard]] double CommunicationShare() const;
  // Mean over workers.
  [[nodiscard]] double SentBytesPerWorker() const;
};

}  // namespace longstride
