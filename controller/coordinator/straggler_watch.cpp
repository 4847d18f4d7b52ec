#include "controller/coordinator/straggler_watch.h"

#include "core/base/median.h"

namespace longstride {
namespace {

constexpr size_t kLeastWorkers = 3;

double LocalSeconds(const RoundReport& report) {
  return report.seconds.data + report.seconds.compute;
}

}  // namespace

std::vector<std::pair<WorkerId, StragglerAction>> StragglerWatch::Observe(
    const RoundRecord& record) {
  std::vector<double> seconds;
  for (const RoundReport& report : record.reports) {
    if (report.local_samples > 0) seconds.push_back(LocalSeconds(report));
  }
  const auto before = std::exchange(slow_rounds_, {});
  std::vector<std::pair<WorkerId, StragglerAction>> due;
  if (seconds.size() < kLeastWorkers) return due;
  const double limit = kSlow * Median(std::move(seconds));
  for (size_t i = 0; i < record.reports.size(); ++i) {
    if (LocalSeconds(record.reports[i]) <= limit) continue;
    const WorkerId& worker = record.workers[i];
    const auto known = before.find(worker);
    const int64_t rounds = slow_rounds_[worker] = known == before.end() ? 1 : known->second + 1;
    if (rounds == kPatience) due.emplace_back(worker, StragglerAction::kReprofile);
    if (rounds == 2 * kPatience) due.emplace_back(worker, StragglerAction::kShed);
  }
  return due;
}

}  // namespace longstride
