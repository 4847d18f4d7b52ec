// Finds workers that hold the others up although the plan deals to each what it was measured to
// manage: its steps are fast and something else is slow, most often reading its samples.
//
// A straggler is first profiled anew, with all that its local steps wait for; that gives it a
// smaller share. If it still is one after as many rounds more, it is to be shed, where the job says
// so. Pure and deterministic; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "core/protocol/messages.h"
#include "core/protocol/round_record.h"

namespace longstride {

enum class StragglerAction { kReprofile, kShed };

class StragglerWatch {
 public:
  // Local seconds (data and compute) above this many times the median of the workers make a slow
  // round; so many slow rounds in a row make a straggler.
  static constexpr double kSlow = 2;
  static constexpr int64_t kPatience = 6;

  // A round was committed: what is due after it. With fewer than three workers nobody can say who
  // is slow and who is fast.
  [[nodiscard]] std::vector<std::pair<WorkerId, StragglerAction>> Observe(
      const RoundRecord& record);

 private:
  std::map<WorkerId, int64_t> slow_rounds_;  // in a row, of those that have any
};

}  // namespace longstride
