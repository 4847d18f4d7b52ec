// Round records for tests of the command line.
#pragma once

#include "core/protocol/round_record.h"

namespace longstride {

// Round `round` of `workers` workers: 100 samples each, 2 s of wall time of which 0.5 s
// communication, 1000 bytes sent.
inline RoundRecord MakeRecord(int64_t round, int workers = 2) {
  RoundRecord record;
  record.unix_seconds = 1000.0 + static_cast<double>(round);
  for (int rank = 0; rank < workers; ++rank) {
    RoundReport report;
    report.generation = {1, 1};
    report.round = round;
    report.plan_version = 1;
    report.samples = 100 * workers;
    report.cursor_begin = (round - 1) * report.samples;
    report.cursor_end = round * report.samples;
    report.local_steps = 10;
    report.global_batch = 10 * workers;
    report.next_global_batch = report.global_batch;
    report.loss = 1.0 / static_cast<double>(round);
    report.digest = "0123456789abcdef";
    report.rank = rank;
    report.local_batch = 10;
    report.local_samples = 100;
    report.seconds.compute = 1.5;
    report.seconds.communication = 0.5;
    report.wall_seconds = 2;
    report.bytes_sent = {990, 10};
    report.bytes_received = {990, 10};
    record.workers.push_back({"worker", rank, "a"});
    record.reports.push_back(report);
  }
  return record;
}

}  // namespace longstride
