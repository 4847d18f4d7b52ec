// The coordinator's answer to members that cannot hear each other.
#include <map>
#include <set>

#include "controller/coordinator/coordinator.h"
#include "controller/coordinator/eviction.h"
#include "controller/coordinator/worker_names.h"
#include "core/base/format.h"

namespace longstride {
namespace {

// The heartbeat of whoever missed two is late: its own silence is then the likelier reason that
// peers hear nothing of it, and the limit of heartbeats decides.
constexpr Duration kLate = std::chrono::milliseconds(1250);
// From the first report of a silence until all who notice it have had time to report theirs.
constexpr Duration kSettle = std::chrono::milliseconds(750);

}  // namespace

void Coordinator::EvictUnheard(TimePoint now) {
  const auto counts = [&](int64_t rank) -> const Worker* {
    if (rank >= static_cast<int64_t>(members_.size())) return nullptr;
    const Worker* worker = Find(members_[static_cast<size_t>(rank)].worker);
    const bool there = worker && worker->phase == Phase::kMember && now - worker->last_seen < kLate;
    return there ? worker : nullptr;
  };
  std::vector<std::pair<int64_t, int64_t>> cuts;
  for (int64_t r = 0; r < static_cast<int64_t>(members_.size()) && !broken_ && !end_; ++r) {
    const Worker* worker = counts(r);
    if (!worker) continue;
    for (const int64_t of : worker->silent) {
      if (of != r && counts(of)) cuts.emplace_back(r, of);
    }
  }
  if (cuts.empty()) {
    cut_since_.reset();
    return;
  }
  if (!cut_since_) cut_since_ = now;
  if (now - *cut_since_ < kSettle) return;
  cut_since_.reset();
  // To lose one changes the members.
  std::map<WorkerId, std::set<std::string>> evicted;  // with the peers that are out of reach
  for (const int64_t rank : FewestToEvict(cuts)) {
    const auto id = [&](int64_t r) { return members_[static_cast<size_t>(r)].worker; };
    for (const auto& [a, b] : cuts) {
      if (a == rank || b == rank) evicted[id(rank)].insert(PlaceOf(id(a == rank ? b : a)).Name());
    }
  }
  for (const auto& [id, peers] : evicted) {
    std::string names;
    for (const std::string& name : peers) names += (names.empty() ? "" : ", ") + name;
    if (Worker* worker = Find(id)) {
      Lose(*worker, ErrorCode::kLostPeer,
           "the network between it and " + names + " is cut: pings are not answered");
    }
  }
}

}  // namespace longstride
