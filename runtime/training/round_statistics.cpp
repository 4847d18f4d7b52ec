#include "runtime/training/round_statistics.h"

#include <algorithm>

#include "core/base/format.h"

namespace longstride {
namespace {

enum Field {
  kTerm,
  kCounter,
  kRound,
  kNewestPlan,
  kSamples,
  kWeight,
  kDigestHigh,
  kDigestLow,
  kFinite,
  kStatisticsFinite,
  kRequest,
  kReceivedAll,
  kSaved,
  kLossSum,
  kBatch,
  kGradientWeight,
  kGradientNorm,
  kWithinNorm,
  kWithinSpread,
  kWithinDegrees,
  kUpdateNorm,
  kInnerSteps,
  kFields
};

std::string Names(const std::vector<int>& ranks, const std::vector<Member>& members) {
  std::string names;
  for (const int r : ranks) {
    names += names.empty() ? "" : ", ";
    names += Format("%d", r);
    if (static_cast<size_t>(r) < members.size()) {
      const WorkerId& w = members[r].worker;
      names += Format(" (%s-%ld)", w.group.c_str(), w.index);
    }
  }
  return names;
}

}  // namespace

StatisticsBlock::StatisticsBlock(int size, int64_t sketch_size, bool sketch_by_rank,
                                 int64_t integers)
    : size_(size),
      sketch_size_(sketch_size),
      sketches_(sketch_by_rank ? size : 1),
      data_(size * kFields + sketches_ * sketch_size + integers) {}

void StatisticsBlock::Clear() {
  std::ranges::fill(data_, 0.0);
}

void StatisticsBlock::SetSlot(int rank, const RankSlot& slot) {
  double* f = data_.data() + rank * kFields;
  f[kTerm] = static_cast<double>(slot.generation.term);
  f[kCounter] = static_cast<double>(slot.generation.counter);
  f[kRound] = static_cast<double>(slot.round);
  f[kNewestPlan] = static_cast<double>(slot.newest_plan);
  f[kSamples] = static_cast<double>(slot.samples);
  f[kWeight] = slot.weight;
  f[kDigestHigh] = static_cast<double>(slot.digest >> 32);
  f[kDigestLow] = static_cast<double>(slot.digest & 0xffffffffULL);
  f[kFinite] = slot.finite;
  f[kStatisticsFinite] = slot.statistics_finite;
  f[kRequest] = static_cast<double>(slot.request);
  f[kReceivedAll] = slot.received_all;
  f[kSaved] = slot.saved;
  f[kLossSum] = slot.loss_sum;
  f[kBatch] = slot.batch;
  f[kGradientWeight] = slot.gradient_weight;
  f[kGradientNorm] = slot.gradient_norm_squared;
  f[kWithinNorm] = slot.within.norm_squared;
  f[kWithinSpread] = slot.within.spread;
  f[kWithinDegrees] = slot.within.degrees_of_freedom;
  f[kUpdateNorm] = slot.update_norm_squared;
  f[kInnerSteps] = static_cast<double>(slot.inner_steps);
}

RankSlot StatisticsBlock::slot(int rank) const {
  const double* f = data_.data() + rank * kFields;
  RankSlot slot;
  slot.generation = {static_cast<int64_t>(f[kTerm]), static_cast<int64_t>(f[kCounter])};
  slot.round = static_cast<int64_t>(f[kRound]);
  slot.newest_plan = static_cast<int64_t>(f[kNewestPlan]);
  slot.samples = static_cast<int64_t>(f[kSamples]);
  slot.weight = f[kWeight];
  slot.digest = static_cast<uint64_t>(f[kDigestHigh]) << 32 | static_cast<uint64_t>(f[kDigestLow]);
  slot.finite = f[kFinite] != 0;
  slot.statistics_finite = f[kStatisticsFinite] != 0;
  slot.request = static_cast<BoundaryRequest>(static_cast<int>(f[kRequest]));
  slot.received_all = f[kReceivedAll] != 0;
  slot.saved = f[kSaved] != 0;
  slot.loss_sum = f[kLossSum];
  slot.batch = f[kBatch];
  slot.gradient_weight = f[kGradientWeight];
  slot.gradient_norm_squared = f[kGradientNorm];
  slot.within.batch = f[kBatch];
  slot.within.norm_squared = f[kWithinNorm];
  slot.within.spread = f[kWithinSpread];
  slot.within.degrees_of_freedom = f[kWithinDegrees];
  slot.update_norm_squared = f[kUpdateNorm];
  slot.inner_steps = static_cast<int64_t>(f[kInnerSteps]);
  return slot;
}

std::span<double> StatisticsBlock::sketch(int rank) {
  const int64_t begin = size_ * kFields + (sketches_ > 1 ? rank : 0) * sketch_size_;
  return data().subspan(static_cast<size_t>(begin), static_cast<size_t>(sketch_size_));
}

std::span<double> StatisticsBlock::integers() {
  return data().subspan(static_cast<size_t>(size_ * kFields + sketches_ * sketch_size_));
}

Status CheckAgreement(const std::vector<RankSlot>& slots, const std::vector<Member>& members) {
  std::vector<int> other_round, other_state;
  uint64_t digest = 0;  // of the first that has one
  for (size_t r = 0; r < slots.size(); ++r) {
    const int rank = static_cast<int>(r);
    if (digest == 0) digest = slots[r].digest;
    if (slots[r].generation != slots[0].generation || slots[r].round != slots[0].round) {
      other_round.push_back(rank);
    } else if (slots[r].digest != 0 && slots[r].digest != digest) {
      other_state.push_back(rank);
    }
  }
  if (!other_round.empty()) {
    return BugError(Format("ranks %s are not in rank 0's round %ld of generation (%ld, %ld)",
                           Names(other_round, members).c_str(), slots[0].round,
                           slots[0].generation.term, slots[0].generation.counter));
  }
  if (!other_state.empty()) {
    return BugError(
        Format("in round %ld the model or schedule of rank %s differs from rank 0's (digest "
               "%016lx): replicas have diverged; resume from the last checkpoint and report this",
               slots[0].round, Names(other_state, members).c_str(), digest));
  }
  return {};
}

}  // namespace longstride
