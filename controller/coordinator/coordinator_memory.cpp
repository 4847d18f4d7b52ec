// What workers' memory was found to hold, by place: an incarnation learns from those before it.
#include <algorithm>

#include "controller/coordinator/coordinator.h"

namespace longstride {

std::optional<int64_t> Coordinator::MicroBatchLimit(const WorkerPlace& place) const {
  const auto it = memory_.find(place);
  return it == memory_.end() ? std::nullopt : it->second.limit;
}

void Coordinator::NoteMicroBatch(const WorkerPlace& place, const RoundReport& report) {
  const auto worker = workers_.find(place);
  if (!report.micro_batch_cap || worker == workers_.end()) return;
  MemoryFindings& findings = memory_[place];
  const int64_t cap = *report.micro_batch_cap;
  findings.micro_batch = std::min(cap, std::max<int64_t>(1, report.local_batch));
  if (cap < std::min(worker->second.join.profile.micro_batch_cap, findings.limit.value_or(cap + 1)))
    findings.limit = cap;
}

bool Coordinator::HalveMicroBatch(const WorkerPlace& place) {
  MemoryFindings& findings = memory_[place];
  // Killed before its first report it may have been profiling, or in a round with its share of B.
  int64_t taken = findings.micro_batch;
  if (taken == 0) taken = std::max<int64_t>(1, options_.job.spec.training.batch.initial);
  taken = std::min(taken, findings.limit.value_or(taken));
  if (taken == 1) return false;
  findings.limit = findings.micro_batch = taken / 2;
  return true;
}

}  // namespace longstride
