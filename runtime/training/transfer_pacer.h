// How fast a background transfer may go. It takes at most a share of the time that its link is busy
// with it: after each chunk it rests for as long as makes the chunk's time that share of the whole.
// Chunks grow or shrink so that one takes about kChunkSeconds: whoever waits for the transfer to
// pause waits for one chunk. Pure; not thread-safe.
#pragma once

#include <cstdint>

#include "core/base/clock.h"

namespace longstride {

class TransferPacer {
 public:
  static constexpr double kShare = 0.5;
  static constexpr double kChunkSeconds = 0.05;
  static constexpr int64_t kLeastBytes = 64 << 10;
  static constexpr int64_t kMostBytes = 8 << 20;

  // Of the next chunk.
  [[nodiscard]] int64_t bytes() const { return bytes_; }
  // A chunk of so many bytes took so long, acknowledgement included. How long to rest now.
  Duration Took(int64_t bytes, Duration took);

 private:
  int64_t bytes_ = kLeastBytes;
};

}  // namespace longstride
