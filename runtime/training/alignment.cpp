#include "runtime/training/alignment.h"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <vector>

#include "core/base/format.h"
#include "core/base/random.h"

namespace longstride {
namespace {

struct Standing {
  int64_t term = 0;
  int64_t counter = 0;
  int64_t round = 0;
  int64_t evaluations = 0;  // a member may have been lost in the middle of one
  uint64_t digest = 0;
  int64_t parameters = 0;
  int64_t state_bytes = 0;  // of the state as JSON
  [[nodiscard]] auto Order() const { return std::tuple(term, counter, round, evaluations); }
  [[nodiscard]] auto RoundOrder() const { return std::tuple(term, counter, round); }
};

}  // namespace

template <typename T>
Status AlignStates(Collective& collective, Replica<T>& replica, TrainingState& state) {
  const int ranks = collective.size(), rank = collective.rank();
  if (ranks == 1) return {};
  std::string json = ToJson(state).dump();
  const Standing mine{state.generation.term,
                      state.generation.counter,
                      state.round,
                      state.evaluations,
                      Hash64(replica.CommonDigest(), ScheduleDigest(state)),
                      replica.flat().parameter_count(),
                      static_cast<int64_t>(json.size())};
  std::vector<Standing> all(static_cast<size_t>(ranks));
  LONGSTRIDE_RETURN_IF_ERROR(collective.AllGather(
      std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)), Purpose::kState));
  int root = 0;
  for (int r = 1; r < ranks; ++r) {
    if (all[r].parameters != all[0].parameters) {
      return UserError(
          Format("rank %d has a model of %ld parameters, rank 0 one of %ld: the workers do not "
                 "run the same job or data",
                 r, all[r].parameters, all[0].parameters));
    }
    if (all[r].Order() > all[root].Order()) root = r;
  }
  bool equal = true;
  for (int r = 0; r < ranks; ++r) {
    const bool level = all[r].Order() == all[root].Order();
    if (level && all[r].digest != all[root].digest && all[root].round > 0) {
      return BugError(
          Format("ranks %d and %d both stand at round %ld of generation (%ld, %ld) but with "
                 "different parameters or schedules",
                 root, r, all[r].round, all[r].term, all[r].counter));
    }
    equal = equal && level && all[r].digest == all[root].digest;
  }
  if (equal) return {};

  // Received beside the present state, which stays whole until all of it is there.
  const bool lagged = mine.RoundOrder() < all[root].RoundOrder();
  json.resize(static_cast<size_t>(all[root].state_bytes));
  std::vector<int64_t> integers = replica.flat().ReadIntegers();
  const std::span<T> targets[] = {replica.flat().parameters(), replica.flat().buffers(),
                                  replica.outer().state()};
  std::vector<std::vector<T>> values;
  for (const std::span<T> target : targets) values.emplace_back(target.begin(), target.end());
  std::vector<std::span<std::byte>> parts = {std::as_writable_bytes(std::span(json)),
                                             std::as_writable_bytes(std::span(integers))};
  for (std::vector<T>& v : values) parts.push_back(std::as_writable_bytes(std::span(v)));
  for (const std::span<std::byte> part : parts) {
    if (!part.empty())
      LONGSTRIDE_RETURN_IF_ERROR(collective.Broadcast(part, root, Purpose::kState));
  }
  if (rank == root) return {};
  LONGSTRIDE_ASSIGN_OR_RETURN(state,
                              TrainingStateFromJson(nlohmann::json::parse(json, nullptr, false)));
  for (size_t i = 0; i < values.size(); ++i) std::ranges::copy(values[i], targets[i].begin());
  replica.flat().WriteIntegers(integers);
  if (lagged) replica.inner().Reset();
  return {};
}

template Status AlignStates(Collective&, Replica<float>&, TrainingState&);
template Status AlignStates(Collective&, Replica<double>&, TrainingState&);

}  // namespace longstride
