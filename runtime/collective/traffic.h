// How many payload bytes one member puts on and takes off the wire in each collective operation, by
// the algorithms that Gloo runs (ring all-reduce and all-gather, pairwise all-to-all, binomial-tree
// broadcast). Headers of TCP/IP and of Gloo (about 5 % and 48 bytes a message) come on top.
// The in-process collective counts the same numbers, so that tests see what a network would carry.
#pragma once

#include <cstdint>

#include "runtime/collective/collective.h"

namespace longstride {

struct WireBytes {
  int64_t sent = 0;
  int64_t received = 0;
};

// M = size, n = bytes of the whole buffer. Sent = received:
//   all-reduce 2(M-1)/M n (the mean over members: parts differ by rounding), all-gather (M-1) times
//   the member's own bytes, all-to-all (M-1)/M n.
[[nodiscard]] WireBytes AllReduceBytes(int64_t bytes, int size);
[[nodiscard]] WireBytes AllGatherBytes(int64_t own_bytes, int size);
[[nodiscard]] WireBytes AllToAllBytes(int64_t bytes, int size);
// Every member but the root receives n; a member sends n to each child in the binomial tree, of
// which the root has ceil(log2 M).
[[nodiscard]] WireBytes BroadcastBytes(int64_t bytes, int rank, int size, int root);

void Count(const WireBytes& bytes, Purpose purpose, Traffic& traffic);

}  // namespace longstride
