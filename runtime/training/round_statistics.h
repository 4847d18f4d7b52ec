// The fp64 block that all-reduces beside the averaged message: one slot of numbers per rank, zero
// elsewhere, so that the sum is an all-gather; then the sum of the ranks' weighted gradient
// sketches or, where robust statistics need them one by one, the sketch of each rank; then rank 0's
// integer buffers. Whatever needs a minimum, a maximum or an order is
// computed by every rank from the slots. All numbers are exact as doubles. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "core/schedule/noise_statistics.h"
#include "runtime/training/control_channel.h"

namespace longstride {

// What one rank says about its round.
struct RankSlot {
  GenerationId generation;
  int64_t round = 0;        // number of the round, 1 for the first
  int64_t newest_plan = 0;  // largest plan version that the rank has
  int64_t samples = 0;      // n_m that count: 0 when the update is not finite
  double weight = 0;        // of the update in the average: n_m or, with local data, of its shard
  uint64_t digest = 0;      // of w_k, the buffers and the schedule's state; 0: it has not all of it
  bool finite = true;       // Delta_m and what changed in the buffers are finite
  bool statistics_finite = true;
  BoundaryRequest request = BoundaryRequest::kNone;
  bool received_all = true;    // all of w_k has come to it, or it held it when the round began
  bool saved = false;          // this rank's files of the pending checkpoint are on the disk
  double loss_sum = 0;         // over the samples that count
  double batch = 0;            // b_m
  double gradient_weight = 0;  // of g_m in the mean: b_m or, with local data, of its shard
  // ||g_m||^2 of step 0, raw; with the sketch estimator ||S_m||^2.
  double gradient_norm_squared = 0;
  WorkerMicrobatches within;
  double update_norm_squared = 0;  // ||Delta_m||^2
  int64_t inner_steps = 0;         // of the inner optimizer, after the round
};

class StatisticsBlock {
 public:
  StatisticsBlock(int size, int64_t sketch_size, bool sketch_by_rank, int64_t integers);

  void Clear();
  void SetSlot(int rank, const RankSlot& slot);
  [[nodiscard]] RankSlot slot(int rank) const;

  [[nodiscard]] std::span<double> data() { return data_; }  // what is all-reduced
  // Rank's sketch S_m, or, for all ranks, the sum of the weighted sketches.
  [[nodiscard]] std::span<double> sketch(int rank);
  [[nodiscard]] std::span<double> integers();

 private:
  int size_;
  int64_t sketch_size_;
  int64_t sketches_;
  std::vector<double> data_;
};

// The ranks' slots must be of one generation and round, and those that have a digest of one digest:
// kBug naming those that differ from the first. `members` name the ranks.
[[nodiscard]] Status CheckAgreement(const std::vector<RankSlot>& slots,
                                    const std::vector<Member>& members);

}  // namespace longstride
