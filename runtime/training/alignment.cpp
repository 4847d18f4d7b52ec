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
  int64_t train_samples = 0;
  int64_t evaluation_samples = 0;
  int64_t state_bytes = 0;  // of the state as JSON
  int64_t whole = 0;        // 0: what is above says nothing of its parameters
  int64_t finished = 0;
  [[nodiscard]] auto Order() const { return std::tuple(whole, term, counter, round, evaluations); }
  [[nodiscard]] auto RoundOrder() const { return std::tuple(whole, term, counter, round); }
};

Status CheckSamples(const char* kind, size_t rank, int64_t samples, int64_t of_rank_0) {
  if (samples == of_rank_0) return {};
  return DataError(
      Format("rank %zu reads %ld %s samples, rank 0 %ld: data.path must hold the same data on "
             "every worker",
             rank, samples, kind, of_rank_0));
}

// Whether a rank has the parameters of the one whose state all get. Those who come from checkpoints
// may have read unlike ones of the same round: a group that was given up while it could not be
// reached may have written the later one.
bool IsLevel(const Standing& s, const Standing& root) {
  const bool from_checkpoint = s.term == 0 && s.counter == 0;
  return s.RoundOrder() == root.RoundOrder() && (!from_checkpoint || s.digest == root.digest);
}

// The rank whose state all get.
Result<int> Root(const std::vector<Standing>& all) {
  int root = 0;
  for (size_t r = 1; r < all.size(); ++r) {
    if (all[r].parameters != all[0].parameters) {
      return UserError(
          Format("rank %zu has a model of %ld parameters, rank 0 one of %ld: the workers do not "
                 "run the same job or data",
                 r, all[r].parameters, all[0].parameters));
    }
    LONGSTRIDE_RETURN_IF_ERROR(
        CheckSamples("training", r, all[r].train_samples, all[0].train_samples));
    LONGSTRIDE_RETURN_IF_ERROR(
        CheckSamples("evaluation", r, all[r].evaluation_samples, all[0].evaluation_samples));
    if (all[r].Order() > all[root].Order()) root = static_cast<int>(r);
  }
  if (all[root].whole == 0)
    return TransientError("all members that held the parameters are gone: start anew");
  for (size_t r = 0; r < all.size(); ++r) {
    const bool level = all[r].Order() == all[root].Order() && IsLevel(all[r], all[root]);
    if (level && all[r].digest != all[root].digest && all[root].round > 0) {
      return BugError(
          Format("ranks %d and %zu both stand at round %ld of generation (%ld, %ld) but with "
                 "different parameters or schedules",
                 root, r, all[r].round, all[r].term, all[r].counter));
    }
  }
  return root;
}

// By rank, who gives it the parameters; -1: it is level with `root`.
std::vector<int> Givers(const std::vector<Standing>& all, int root) {
  std::vector<int> givers(all.size(), -1), holders;
  for (size_t r = 0; r < all.size(); ++r) {
    if (IsLevel(all[r], all[root])) holders.push_back(static_cast<int>(r));
  }
  size_t next = 0;
  for (size_t r = 0; r < all.size(); ++r) {
    if (!IsLevel(all[r], all[root])) givers[r] = holders[next++ % holders.size()];
  }
  return givers;
}

bool AllEqual(const Standing& root, const std::vector<Standing>& all) {
  return std::ranges::all_of(
      all, [&](const Standing& s) { return s.Order() == root.Order() && s.digest == root.digest; });
}

}  // namespace

template <typename T>
Result<std::vector<int>> AlignStates(Collective& collective, Replica<T>& replica,
                                     TrainingState& state, const AlignmentOptions& options) {
  const int ranks = collective.size(), rank = collective.rank();
  std::vector<int> level(static_cast<size_t>(ranks), -1);
  if (ranks == 1 && options.whole) return level;
  std::string json = ToJson(state).dump();
  const Standing mine{state.generation.term,
                      state.generation.counter,
                      state.round,
                      state.evaluations,
                      Hash64(replica.CommonDigest(), ScheduleDigest(state)),
                      replica.flat().parameter_count(),
                      options.train_samples,
                      options.evaluation_samples,
                      static_cast<int64_t>(json.size()),
                      options.whole,
                      options.finished};
  std::vector<Standing> all(static_cast<size_t>(ranks));
  LONGSTRIDE_RETURN_IF_ERROR(collective.AllGather(
      std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)), Purpose::kState));
  LONGSTRIDE_ASSIGN_OR_RETURN(const int root, Root(all));
  if (AllEqual(all[root], all)) return level;

  // Received beside the present state, which stays whole until all of it is there.
  const bool lagged = !IsLevel(mine, all[root]);
  json.resize(static_cast<size_t>(all[root].state_bytes));
  std::vector<int64_t> integers = replica.flat().ReadIntegers();
  const std::span<T> targets[] = {replica.flat().parameters(), replica.flat().buffers(),
                                  replica.outer().state()};
  int64_t bytes = 0;
  for (const std::span<T> target : targets) bytes += static_cast<int64_t>(target.size_bytes());
  const bool at_once =
      bytes <= options.at_once_bytes || all[root].round == 0 || all[root].finished != 0;
  std::vector<std::vector<T>> values;
  std::vector<std::span<std::byte>> parts = {std::as_writable_bytes(std::span(json))};
  if (at_once) {
    for (const std::span<T> target : targets) values.emplace_back(target.begin(), target.end());
    parts.push_back(std::as_writable_bytes(std::span(integers)));
    for (std::vector<T>& v : values) parts.push_back(std::as_writable_bytes(std::span(v)));
  }
  for (const std::span<std::byte> part : parts) {
    if (!part.empty())
      LONGSTRIDE_RETURN_IF_ERROR(collective.Broadcast(part, root, Purpose::kState));
  }
  if (rank != root) {
    LONGSTRIDE_ASSIGN_OR_RETURN(state,
                                TrainingStateFromJson(nlohmann::json::parse(json, nullptr, false)));
    for (size_t i = 0; i < values.size(); ++i) std::ranges::copy(values[i], targets[i].begin());
    if (at_once) replica.flat().WriteIntegers(integers);
    if (lagged) replica.inner().Reset();
  }
  return at_once ? level : Givers(all, root);
}

template Result<std::vector<int>> AlignStates(Collective&, Replica<float>&, TrainingState&,
                                              const AlignmentOptions&);
template Result<std::vector<int>> AlignStates(Collective&, Replica<double>&, TrainingState&,
                                              const AlignmentOptions&);

}  // namespace longstride
