#include "cli/run_totals.h"

#include <algorithm>

namespace longstride {

void RunTotals::Add(const RoundRecord& record) {
  const RoundReport& common = record.common();
  workers = std::max(workers, static_cast<int64_t>(record.reports.size()));
  ++rounds;
  last_round = common.round;
  steps += common.local_steps;
  samples += common.samples;
  discarded += TotalSize(common.discarded);
  cursor = common.cursor_end;
  if (first_global_batch == 0) first_global_batch = common.global_batch;
  global_batch = common.global_batch;
  local_steps = common.local_steps;
  noise_variance = common.noise_variance;
  skew = common.skew;
  skew_limit = common.skew_limit;
  local_data = !common.shards.empty();
  loss = common.loss;
  if (common.evaluation_loss) evaluation_loss = common.evaluation_loss;
  if (common.evaluation_accuracy) evaluation_accuracy = common.evaluation_accuracy;
  target_reached = target_reached || common.target_reached;

  double slowest = 0;
  double slowest_evaluation = 0;
  for (const RoundReport& own : record.reports) {
    slowest = std::max(slowest, own.wall_seconds);
    slowest_evaluation = std::max(slowest_evaluation, own.seconds.evaluation);
    worker_seconds += own.wall_seconds;
    communication_seconds += own.seconds.communication;
    for (int64_t bytes : own.bytes_sent) sent_bytes += static_cast<double>(bytes);
  }
  seconds += slowest;
  evaluation_seconds += slowest_evaluation;
}

double RunTotals::CommunicationShare() const {
  return worker_seconds > 0 ? communication_seconds / worker_seconds : 0;
}

double RunTotals::SentBytesPerWorker() const {
  return workers > 0 ? sent_bytes / static_cast<double>(workers) : 0;
}

}  // namespace longstride
