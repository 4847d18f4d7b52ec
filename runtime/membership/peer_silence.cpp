#include "runtime/membership/peer_silence.h"

#include <utility>

namespace longstride {

bool PeerSilence::Look(TimePoint now) {
  const bool held_up = now - std::exchange(looked_, now) > limit_ / 2;
  bool changed = false;
  for (Peer& peer : peers_) {
    if (held_up) peer.heard = now;
    const bool silent = now - peer.heard > limit_;
    changed = changed || silent != peer.silent;
    peer.silent = silent;
  }
  return changed;
}

}  // namespace longstride
