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
                  r.global_batch, r.next_global_batch);
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

}  // namespace

void RoundLedger::Begin(int64_t size) {
  size_ = size;
  pending_.clear();
}

Result<std::vector<std::vector<RoundReport>>> RoundLedger::Add(const RoundReport& report) {
  std::vector<std::vector<RoundReport>> complete;
  if (round_ && report.round <= *round_) return complete;
  if (pending_.size() >= kMaxPendingRounds && !pending_.contains(report.round)) {
    return TransientError("too many rounds wait for the reports of other members");
  }
  Reports& reports = pending_[report.round];
  reports.resize(static_cast<size_t>(size_));
  std::optional<RoundReport>& slot = reports[static_cast<size_t>(report.rank)];
  if (!slot) slot = report;

  // Members send in order, so the lowest incomplete round is the next to commit.
  while (!pending_.empty()) {
    const Reports& next = pending_.begin()->second;
    if (!std::all_of(next.begin(), next.end(), [](const auto& r) { return r.has_value(); })) break;
    std::vector<RoundReport> merged;
    for (const auto& r : next) merged.push_back(*r);
    LONGSTRIDE_RETURN_IF_ERROR(Commit(merged));
    complete.push_back(std::move(merged));
    pending_.erase(pending_.begin());
  }
  return complete;
}

Status RoundLedger::Commit(const std::vector<RoundReport>& reports) {
  LONGSTRIDE_RETURN_IF_ERROR(CheckAgreement(reports));
  const RoundReport& common = reports.front();
  const auto number = [](int64_t n) { return static_cast<long long>(n); };
  if (round_ && common.round != *round_ + 1) {
    return BugError(
        Format("round %lld was reported after round %lld", number(common.round), number(*round_)));
  }
  const int64_t expected_begin = round_ ? cursor_ : common.cursor_begin;
  if (common.cursor_begin != expected_begin || common.cursor_end < common.cursor_begin) {
    return BugError(Format("round %lld took positions %lld to %lld, but the cursor stood at %lld",
                           number(common.round), number(common.cursor_begin),
                           number(common.cursor_end), number(expected_begin)));
  }
  int64_t counted = 0, discarded = 0;
  for (const RoundReport& r : reports) (r.delta_finite ? counted : discarded) += r.local_samples;
  if (counted != common.samples || counted + discarded != common.cursor_end - common.cursor_begin) {
    return BugError(
        Format("round %lld: members processed %lld and discarded %lld samples, but report %lld "
               "committed of %lld taken",
               number(common.round), number(counted), number(discarded), number(common.samples),
               number(common.cursor_end - common.cursor_begin)));
  }
  round_ = common.round;
  cursor_ = common.cursor_end;
  samples_ += counted;
  discarded_ += discarded;
  return {};
}

}  // namespace longstride
