#include "controller/app/progress_pacer.h"

#include <algorithm>

#include "core/base/random.h"

namespace longstride {

ProgressPacer::ProgressPacer(Duration period, double writes_per_second)
    : period_(period), budget_(writes_per_second, std::max(1.0, writes_per_second)) {}

Duration ProgressPacer::Until(Slot& slot, uint64_t seed, TimePoint now) {
  if (slot.not_before > now) return slot.not_before - now;
  if (!slot.turn) {
    const std::lock_guard lock(mutex_);
    slot.turn = now + budget_.Reserve(now);
  }
  if (*slot.turn > now) return *slot.turn - now;
  slot.turn.reset();
  const double jitter = 0.8 + 0.4 * UniformOf(Hash64(seed));
  slot.not_before = now + FromSeconds(ToSeconds(period_) * jitter);
  return Duration::zero();
}

}  // namespace longstride
