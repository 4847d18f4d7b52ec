#include "controller/coordinator/round_ledger.h"

#include <algorithm>
#include <string>
#include <tuple>

#include "core/base/format.h"

namespace longstride {
namespace {

constexpr size_t kMaxPendingRounds = 4096;

// What must be equal on all members, besides the digest.
auto CommonKey(const RoundReport& r) {
  return std::tie(r.plan_version, r.cursor_begin, r.cursor_end, r.samples, r.local_steps,
                  r.global_batch, r.next_global_batch, r.committed, r.discarded, r.lost, r.holes);
}

std::string Ranks(const std::vector<RoundReport>& reports, const auto& predicate) {
  std::string list;
  for (const RoundReport& report : reports) {
    if (predicate(report)) list += (list.empty() ? "" : ", ") + std::to_string(report.rank);
  }
  return list;
}

Status CheckAgreement(const std::vector<RoundReport>& reports) {
  const RoundReport& first = reports.front();
  const auto differs = [&](const RoundReport& r) { return r.digest != first.digest; };
  if (std::any_of(reports.begin(), reports.end(), differs)) {
    std::string text;
    for (const RoundReport& report : reports) {
      text += Format(" rank %lld %s", static_cast<long long>(report.rank), report.digest.c_str());
    }
    return BugError(
        Format("parameters differ after round %lld: ranks %s do not match rank 0 (digests:%s)",
               static_cast<long long>(first.round), Ranks(reports, differs).c_str(), text.c_str()));
  }
  const auto disagrees = [&](const RoundReport& r) { return CommonKey(r) != CommonKey(first); };
  if (std::any_of(reports.begin(), reports.end(), disagrees)) {
    return BugError(
        Format("decisions differ in round %lld: ranks %s report another plan, range, batch or H "
               "than rank 0",
               static_cast<long long>(first.round), Ranks(reports, disagrees).c_str()));
  }
  return {};
}

std::vector<RoundReport> Present(const std::vector<std::optional<RoundReport>>& by_rank) {
  std::vector<RoundReport> present;
  for (const auto& report : by_rank) {
    if (report) present.push_back(*report);
  }
  return present;
}

// The books on which `first`, the first round seen here, was booked. What was discarded before it
// is not known, and takes no part in what follows.
Result<Ledger> BooksBefore(const RoundReport& first) {
  PositionSet holes;
  for (const PositionRange& r : first.holes) holes.Add(r);
  for (const PositionRange& r : first.lost) holes.Remove(r);
  for (const auto* taken : {&first.committed, &first.discarded, &first.lost}) {
    for (const PositionRange& r : *taken) {
      if (r.begin < first.cursor_begin) {
        holes.Add({r.begin, std::min(r.end, first.cursor_begin)});
      }
    }
  }
  return Ledger::Restore(first.cursor_begin, {}, holes.ranges());
}

}  // namespace

void RoundLedger::Begin(int64_t size) {
  size_ = size;
  pending_.clear();
}

Result<RoundLedger::Rounds> RoundLedger::Add(const RoundReport& report) {
  if (round_ && report.round <= *round_) return Rounds();
  if (pending_.size() >= kMaxPendingRounds && !pending_.contains(report.round)) {
    return TransientError("too many rounds wait for the reports of other members");
  }
  Reports& reports = pending_[report.round];
  reports.resize(static_cast<size_t>(size_));
  std::optional<RoundReport>& slot = reports[static_cast<size_t>(report.rank)];
  if (!slot) slot = report;
  return TakeComplete();
}

Result<RoundLedger::Rounds> RoundLedger::Resume(int64_t round) {
  if (round_ && *round_ >= round) return Rounds();
  round_ = round;
  books_.reset();
  pending_.erase(pending_.begin(), pending_.upper_bound(round));
  return TakeComplete();
}

Result<RoundLedger::Rounds> RoundLedger::Release() {
  held_ = false;
  return TakeComplete();
}

void RoundLedger::Forget() {
  pending_.clear();
  round_.reset();
  books_.reset();
}

Result<RoundLedger::Rounds> RoundLedger::TakeComplete() {
  Rounds complete;
  if (held_) return complete;
  // Members send in order, so the lowest incomplete round is the next to commit.
  while (!pending_.empty()) {
    const Reports& next = pending_.begin()->second;
    if (!std::all_of(next.begin(), next.end(), [](const auto& r) { return r.has_value(); })) break;
    complete.push_back(Present(next));
    LONGSTRIDE_RETURN_IF_ERROR(Commit(complete.back()));
    pending_.erase(pending_.begin());
  }
  return complete;
}

Result<RoundLedger::Rounds> RoundLedger::Close(int64_t round) {
  Rounds closed;
  for (const auto& [number, reports] : pending_) {
    if (number > round) break;
    closed.push_back(Present(reports));
    LONGSTRIDE_RETURN_IF_ERROR(Commit(closed.back()));
  }
  pending_.clear();
  if (!round_ || *round_ != round) {  // what the books say of it is not known any more
    round_ = round;
    books_.reset();
  }
  return closed;
}

Status RoundLedger::Commit(const std::vector<RoundReport>& reports) {
  LONGSTRIDE_RETURN_IF_ERROR(CheckAgreement(reports));
  const RoundReport& common = reports.front();
  const auto number = [](int64_t n) { return static_cast<long long>(n); };
  if (round_ && common.round != *round_ + 1) {
    return BugError(
        Format("round %lld was reported after round %lld", number(common.round), number(*round_)));
  }
  const auto broken = [&](const std::string& why) {
    return BugError(Format("the books of round %lld: %s", number(common.round), why.c_str()));
  };
  Ledger next;
  if (books_) {
    next = *books_;
  } else {
    LONGSTRIDE_ASSIGN_OR_RETURN(next, BooksBefore(common));
  }
  if (common.cursor_begin != next.cursor()) {
    return broken(Format("it begins at %lld, but the cursor stood at %lld",
                         number(common.cursor_begin), number(next.cursor())));
  }
  if (const Status booked = next.Record({common.committed, common.discarded, common.lost});
      !booked.ok()) {
    return broken(booked.error().message);
  }
  if (next.cursor() != common.cursor_end || next.holes().ranges() != common.holes) {
    return broken(
        Format("members end at %lld with %lld lost positions open, but their ranges at "
               "%lld with %lld",
               number(common.cursor_end), number(TotalSize(common.holes)), number(next.cursor()),
               number(next.holes().size())));
  }
  int64_t counted = 0, dropped = 0;
  for (const RoundReport& r : reports) (r.delta_finite ? counted : dropped) += r.local_samples;
  const int64_t discarded = TotalSize(common.discarded);
  const bool all = static_cast<int64_t>(reports.size()) == size_;
  if (TotalSize(common.committed) != common.samples || counted > common.samples ||
      dropped > discarded || (all && (counted != common.samples || dropped != discarded))) {
    return broken(
        Format("members processed %lld and discarded %lld samples, but the round %lld "
               "and %lld",
               number(counted), number(dropped), number(common.samples), number(discarded)));
  }
  books_ = std::move(next);
  round_ = common.round;
  discarded_ += discarded;
  samples_ = books_->cursor() - books_->holes().size() - discarded_;
  return {};
}

}  // namespace longstride
