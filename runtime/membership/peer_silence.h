// Which peers have been silent for too long, from the moments at which they were heard. Pure; not
// thread-safe.
#pragma once

#include <cstddef>
#include <vector>

#include "core/base/clock.h"

namespace longstride {

class PeerSilence {
 public:
  PeerSilence(Duration limit, TimePoint now) : limit_(limit), looked_(now) {}

  // Begins to watch one more peer, as if it had just been heard. Its index counts from 0.
  void Add(TimePoint now) { peers_.push_back({now, false}); }
  // The peer at `index` as another object knew it.
  void Add(const PeerSilence& other, size_t index) { peers_.push_back(other.peers_[index]); }
  void Heard(size_t index, TimePoint now) { peers_[index].heard = now; }
  [[nodiscard]] TimePoint heard(size_t index) const { return peers_[index].heard; }

  // Call it several times within the limit. Whoever does not has been held up itself and cannot
  // say that others were silent: all count as heard then. True if the answer has changed.
  bool Look(TimePoint now);
  [[nodiscard]] bool IsSilent(size_t index) const { return peers_[index].silent; }

 private:
  struct Peer {
    TimePoint heard;
    bool silent = false;
  };
  Duration limit_;
  TimePoint looked_;
  std::vector<Peer> peers_;
};

}  // namespace longstride
