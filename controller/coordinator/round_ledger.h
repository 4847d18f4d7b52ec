// Merges the members' round reports into committed rounds and keeps the books: every round follows
// the one before, its positions obey the ledger law (core/schedule/ledger.h), and what the members
// saw is the same on all of them.
//
// Pure; not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "core/schedule/ledger.h"

namespace longstride {

class RoundLedger {
 public:
  // `samples` and `discarded` of rounds that another ledger took before this one, as far as known.
  explicit RoundLedger(int64_t samples = 0, int64_t discarded = 0)
      : samples_(samples), discarded_(discarded) {}

  using Rounds = std::vector<std::vector<RoundReport>>;  // in order, each by ascending rank

  // A generation of `size` members begins, after Close of the one before.
  void Begin(int64_t size);

  // Takes one member's report. Returns the rounds that are complete now. A report that was taken
  // before is ignored (it was sent again). Errors:
  //   kTransient  too many rounds are incomplete; send it again later
  //   kBug        members disagree (names the ranks), or the ledger law is broken: the run cannot
  //   go on
  [[nodiscard]] Result<Rounds> Add(const RoundReport& report);

  // The generation is over, and the most advanced state that goes on has `round` rounds: these are
  // committed, whoever reported them, and returned if they were not before; reports beyond are
  // void. A `round` before the last committed one takes committed rounds back: whoever held them
  // was lost, and the next begin from a checkpoint or a round earlier. Errors: kBug as Add.
  [[nodiscard]] Result<Rounds> Close(int64_t round);

  // Commits nothing until Release, which returns the rounds that are complete by then.
  void Hold() { held_ = true; }
  [[nodiscard]] Result<Rounds> Release();
  // What was heard so far was not of the state that goes on.
  void Forget();

  // Rounds up to `round` were committed before this ledger began to see reports: they are not
  // waited for. Returns the rounds that are complete now. Errors: kBug as Add.
  [[nodiscard]] Result<Rounds> Resume(int64_t round);
  // At least so many positions have been discarded in the whole job.
  void KnowDiscarded(int64_t discarded) { discarded_ = std::max(discarded_, discarded); }

  [[nodiscard]] bool known() const { return round_.has_value(); }
  [[nodiscard]] int64_t round() const { return round_.value_or(0); }  // last committed; 0 = none
  [[nodiscard]] int64_t cursor() const { return books_ ? books_->cursor() : 0; }
  // Committed and discarded in the whole job, so that committed + discarded + holes = cursor; of
  // what was discarded before this ledger began, only what it was told.
  [[nodiscard]] int64_t samples() const { return samples_; }
  [[nodiscard]] int64_t discarded() const { return discarded_; }

 private:
  using Reports = std::vector<std::optional<RoundReport>>;  // by rank
  Result<Rounds> TakeComplete();
  Status Commit(const std::vector<RoundReport>& reports);

  int64_t size_ = 0;
  bool held_ = false;
  std::map<int64_t, Reports> pending_;
  std::optional<int64_t> round_;
  std::optional<Ledger> books_;  // from the first round seen on
  int64_t samples_;
  int64_t discarded_;
};

}  // namespace longstride
