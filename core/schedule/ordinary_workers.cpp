#include "core/schedule/ordinary_workers.h"

#include <algorithm>

#include "core/base/median.h"

namespace longstride {
namespace {

constexpr double kFarOff = 3;

}  // namespace

std::vector<bool> OrdinaryWorkers(const std::vector<std::span<const double>>& sketches,
                                  const std::vector<bool>& present) {
  std::vector<size_t> workers;
  for (size_t m = 0; m < sketches.size(); ++m) {
    if (present[m]) workers.push_back(m);
  }
  if (workers.size() < 3) return present;

  std::vector<double> distances(workers.size());  // squared
  std::vector<double> values(workers.size());
  for (size_t k = 0; k < sketches[workers[0]].size(); ++k) {
    for (size_t i = 0; i < workers.size(); ++i) values[i] = sketches[workers[i]][k];
    const double middle = Median(values);
    for (size_t i = 0; i < workers.size(); ++i) {
      const double off = sketches[workers[i]][k] - middle;
      distances[i] += off * off;
    }
  }
  std::vector<double> sorted = distances;
  std::ranges::sort(sorted);
  const double limit = kFarOff * kFarOff * sorted[(sorted.size() - 1) / 2];
  std::vector<bool> ordinary(sketches.size(), false);
  for (size_t i = 0; i < workers.size(); ++i) ordinary[workers[i]] = distances[i] <= limit;
  return ordinary;
}

}  // namespace longstride
