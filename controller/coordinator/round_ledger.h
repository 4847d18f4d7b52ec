// Merges the members' round reports into committed rounds and keeps the books: every round follows
// the one before, its positions follow the cursor, and what the members saw is the same on all of
// them.
//
// Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "core/base/result.h"
#include "core/protocol/messages.h"

namespace longstride {

class RoundLedger {
 public:
  // A generation of `size` members begins; reports of the one before that are not complete are
  // void.
  void Begin(int64_t size);

  // Takes one member's report. Returns the rounds that are complete now, in order, each by rank.
  // A report that was taken before is ignored (it was sent again). Errors:
  //   kTransient  too many rounds are incomplete; send it again later
  //   kBug        members disagree (names the ranks), or the ledger law is broken: the run cannot
  //   go on
  [[nodiscard]] Result<std::vector<std::vector<RoundReport>>> Add(const RoundReport& report);

  [[nodiscard]] int64_t round() const { return round_.value_or(0); }  // last committed; 0 = none
  [[nodiscard]] int64_t cursor() const { return cursor_; }
  // Committed and discarded by the rounds seen here; together with where it began they make the
  // cursor.
  [[nodiscard]] int64_t samples() const { return samples_; }
  [[nodiscard]] int64_t discarded() const { return discarded_; }

 private:
  using Reports = std::vector<std::optional<RoundReport>>;  // by rank
  Status Commit(const std::vector<RoundReport>& reports);

  int64_t size_ = 0;
  std::map<int64_t, Reports> pending_;
  std::optional<int64_t> round_;
  int64_t cursor_ = 0;
  int64_t samples_ = 0;
  int64_t discarded_ = 0;
};

}  // namespace longstride
