// Values that the coordinator's tests start from.
#pragma once

#include <string>
#include <vector>

#include "core/protocol/messages.h"
#include "core/spec/training_job.h"

namespace longstride {

inline TrainingJob MakeJob(int64_t replicas) {
  TrainingJob job;
  job.metadata.name = "demo";
  job.spec.replicas = replicas;
  job.spec.model.kind = ModelKind::kMlp;
  job.spec.data.format = DataFormat::kSynthetic;
  job.spec.training.max_samples = 1 << 20;
  job.spec.training.batch.initial = 32 * replicas;
  return job;
}

inline std::vector<WorkerGroup> MakeGroups(const std::vector<std::string>& names) {
  std::vector<WorkerGroup> groups;
  for (const std::string& name : names) groups.emplace_back().name = name;
  return groups;
}

inline JoinRequest MakeJoin(int64_t index, const std::string& group = "worker",
                            const std::string& incarnation = "1") {
  JoinRequest join;
  join.worker = {group, index, incarnation};
  join.address = "10.0.0." + std::to_string(index + 1);
  join.profile.alpha = 0.001;
  join.profile.beta = 0.0005;
  join.profile.micro_batch_cap = 256;
  join.parameters = 411000;
  return join;
}

// What member `rank` of `size` reports for `round`, each round taking `taken` positions.
inline RoundReport MakeReport(GenerationId generation, int64_t round, int64_t rank, int64_t size,
                              int64_t taken = 1024) {
  RoundReport report;
  report.generation = generation;
  report.round = round;
  report.plan_version = 1;
  report.cursor_begin = (round - 1) * taken;
  report.cursor_end = round * taken;
  report.samples = taken;
  report.committed = {{report.cursor_begin, report.cursor_end}};
  report.local_steps = 8;
  report.global_batch = taken / 8;
  report.next_global_batch = taken / 8;
  report.loss = 1.0 / static_cast<double>(round);
  report.digest = "00000000" + std::to_string(10000000 + round);
  report.rank = rank;
  report.local_batch = taken / 8 / size;
  report.local_samples = taken / size + (rank == 0 ? taken % size : 0);
  report.seconds.communication = 0.1;
  report.wall_seconds = 1;
  return report;
}

// Events of type E among `events`.
template <typename E, typename Events>
std::vector<E> Of(const Events& events) {
  std::vector<E> found;
  for (const auto& event : events) {
    if (const E* e = std::get_if<E>(&event.data)) found.push_back(*e);
  }
  return found;
}

}  // namespace longstride
