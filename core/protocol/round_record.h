// One committed round: the reports of its members, merged. It is one line of rounds.jsonl; the
// schema is documented in docs/protocol.md.
#pragma once

#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/protocol/messages.h"

namespace longstride {

struct RoundRecord {
  double unix_seconds = 0;  // when the last report arrived
  // Who reported, by ascending rank: all members, unless one was lost before it could. Never empty.
  std::vector<WorkerId> workers;
  std::vector<RoundReport> reports;  // theirs; the common part is equal on all

  [[nodiscard]] const RoundReport& common() const { return reports.front(); }
};

// One line, without the newline.
[[nodiscard]] std::string ToJsonLine(const RoundRecord& record);
[[nodiscard]] Result<RoundRecord> ParseRoundRecord(std::string_view text);

// Bytes that each of `workers` would have sent with synchronous data-parallel SGD for the same
// samples in the same batches: a ring all-reduce of the fp32 gradient in every step,
//   steps * 2 (M - 1) / M * 4 bytes * parameters.
[[nodiscard]] double DataParallelBytesPerWorker(int64_t steps, int64_t workers, int64_t parameters);

}  // namespace longstride
