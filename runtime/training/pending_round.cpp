#include "runtime/training/pending_round.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "core/base/format.h"
#include "core/schedule/sample_order.h"

namespace longstride {
namespace {

// What a rank says of its pending round; all zero without one.
struct Claim {
  int64_t term = 0;
  int64_t counter = 0;  // of the generation in which the round was begun
  int64_t part = -1;
  int64_t bytes = 0;  // of the work as JSON
  [[nodiscard]] auto Order() const { return std::tuple(term, counter); }
};

}  // namespace

RoundWork OwnParts(RoundSettings settings, std::vector<PositionRange> positions, int ranks,
                   int rank) {
  RoundWork work{std::move(settings), std::move(positions), {}, rank};
  for (int r = 0; r < ranks; ++r) work.owners.push_back(r);
  return work;
}

RoundPositions Outcomes(const RoundWork& work, const std::vector<RankSlot>& slots) {
  RoundPositions outcome;
  PositionSet committed, discarded, lost;
  for (size_t p = 0; p < work.owners.size(); ++p) {
    const int owner = work.owners[p];
    PositionSet& set = owner < 0                                       ? lost
                       : slots[static_cast<size_t>(owner)].samples > 0 ? committed
                                                                       : discarded;
    for (const PositionRange& range :
         RankPositions(work.positions, work.settings.local_steps, work.settings.local_batches,
                       static_cast<int>(p))) {
      set.Add(range);
    }
  }
  return {committed.ranges(), discarded.ranges(), lost.ranges()};
}

template <typename T>
PendingRound<T>::PendingRound(const Replica<T>& replica, RoundWork work, RankSlot slot,
                              RoundReport report, uint64_t anchor)
    : work_(std::move(work)),
      slot_(std::move(slot)),
      report_(std::move(report)),
      anchor_(anchor),
      integers_(replica.flat().ReadIntegers()),
      inner_steps_(replica.inner().steps()) {
  const auto copy = [](std::span<T> from, std::vector<T>& to) {
    to.assign(from.begin(), from.end());
  };
  copy(replica.flat().parameters(), parameters_);
  copy(replica.flat().buffers(), buffers_);
  copy(replica.inner().state(), inner_);
}

template <typename T>
void PendingRound<T>::Load(Replica<T>& replica) const {
  std::ranges::copy(parameters_, replica.flat().parameters().begin());
  std::ranges::copy(buffers_, replica.flat().buffers().begin());
  replica.flat().WriteIntegers(integers_);
  std::ranges::copy(inner_, replica.inner().state().begin());
  replica.inner().set_steps(inner_steps_);
}

Result<std::optional<RoundWork>> AgreeOnPending(Collective& collective, const RoundWork* mine,
                                                GenerationId generation) {
  const int ranks = collective.size();
  std::string text = mine ? ToJson(mine->settings, mine->positions).dump() : "";
  Claim claim;
  if (mine) {
    claim = {generation.term, generation.counter, mine->part, static_cast<int64_t>(text.size())};
  }
  std::vector<Claim> claims(static_cast<size_t>(ranks));
  LONGSTRIDE_RETURN_IF_ERROR(collective.AllGather(std::as_bytes(std::span(&claim, 1)),
                                                  std::as_writable_bytes(std::span(claims)),
                                                  Purpose::kState));
  int root = -1;
  for (int r = 0; r < ranks; ++r) {
    if (claims[r].part < 0) continue;
    if (root < 0 || claims[r].Order() > claims[root].Order()) root = r;
  }
  if (root < 0) return std::optional<RoundWork>();

  text.resize(static_cast<size_t>(claims[root].bytes));
  LONGSTRIDE_RETURN_IF_ERROR(
      collective.Broadcast(std::as_writable_bytes(std::span(text)), root, Purpose::kState));
  RoundWork work;
  LONGSTRIDE_ASSIGN_OR_RETURN(
      std::tie(work.settings, work.positions),
      RoundFromJson(nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false)));
  work.owners.assign(work.settings.local_batches.size(), -1);
  for (int r = 0; r < ranks; ++r) {
    const Claim& c = claims[r];
    if (c.part < 0 || c.Order() != claims[root].Order()) continue;
    if (c.part >= static_cast<int64_t>(work.owners.size()) || work.owners[c.part] >= 0) {
      return BugError(Format("rank %d claims part %ld of a round of %zu parts, which is not free",
                             r, c.part, work.owners.size()));
    }
    work.owners[c.part] = r;
    if (r == collective.rank()) work.part = static_cast<int>(c.part);
  }
  return std::optional(std::move(work));
}

template class PendingRound<float>;
template class PendingRound<double>;

}  // namespace longstride
