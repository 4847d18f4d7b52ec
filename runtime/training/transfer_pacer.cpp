#include "runtime/training/transfer_pacer.h"

#include <algorithm>

namespace longstride {

Duration TransferPacer::Took(int64_t bytes, Duration took) {
  const double seconds = std::max(ToSeconds(took), 1e-6);
  const double wanted = static_cast<double>(bytes) * kChunkSeconds / seconds;
  // At most twofold a step: one lucky chunk must not make the next a long one.
  bytes_ = std::clamp(static_cast<int64_t>(std::min(wanted, 2.0 * static_cast<double>(bytes_))),
                      kLeastBytes, kMostBytes);
  return FromSeconds(seconds * (1 / kShare - 1));
}

}  // namespace longstride
