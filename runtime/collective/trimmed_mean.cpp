#include "runtime/collective/trimmed_mean.h"

#include <algorithm>
#include <cmath>

namespace longstride {
namespace {

// By size; what is not a number comes last, as sorting needs an order of all values.
template <typename T>
bool NumbersFirst(T a, T b) {
  return a < b || (std::isnan(b) && !std::isnan(a));
}

template <typename T>
Status Reduce(Collective& collective, std::span<T> data, const std::vector<bool>& contributes,
              Purpose purpose) {
  const size_t members = static_cast<size_t>(collective.size());
  const auto count = std::ranges::count(contributes, true);
  if (members == 1 || count == 0) return {};
  const size_t shard = (data.size() + members - 1) / members;  // the last one is padded with zeros
  std::vector<T> sent(shard * members), received(shard * members);
  std::ranges::copy(data, sent.begin());
  LONGSTRIDE_RETURN_IF_ERROR(collective.AllToAll(
      std::as_bytes(std::span(sent)), std::as_writable_bytes(std::span(received)), purpose));

  const auto trimmed = static_cast<size_t>(TrimmedAtEachEnd(static_cast<int>(count)));
  const size_t kept = static_cast<size_t>(count) - 2 * trimmed;
  std::vector<T> mean(shard), values;
  for (size_t i = 0; i < shard; ++i) {
    values.clear();
    for (size_t r = 0; r < members; ++r) {
      if (contributes[r]) values.push_back(received[r * shard + i]);
    }
    std::ranges::sort(values, NumbersFirst<T>);
    T sum = 0;
    for (size_t k = trimmed; k < trimmed + kept; ++k) sum += values[k];
    mean[i] = sum / static_cast<T>(kept);
  }

  LONGSTRIDE_RETURN_IF_ERROR(collective.AllGather(
      std::as_bytes(std::span(mean)), std::as_writable_bytes(std::span(received)), purpose));
  std::ranges::copy(std::span(received).first(data.size()), data.begin());
  return {};
}

}  // namespace

int TrimmedAtEachEnd(int contributors) {
  return contributors < 3 ? 0 : std::max(1, contributors / 4);
}

Status AllReduceTrimmedMean(Collective& collective, std::span<float> data,
                            const std::vector<bool>& contributes, Purpose purpose) {
  return Reduce(collective, data, contributes, purpose);
}

Status AllReduceTrimmedMean(Collective& collective, std::span<double> data,
                            const std::vector<bool>& contributes, Purpose purpose) {
  return Reduce(collective, data, contributes, purpose);
}

}  // namespace longstride
