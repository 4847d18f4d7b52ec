// All-reduce with messages in fewer bits than fp32. A compressed sum cannot travel a ring, since
// every hop would round again; so each member reduces one shard of all members' messages:
//
//   encode -> all-to-all -> decode and sum in rank order in fp32 -> encode -> all-gather -> decode
//
// The same bytes reach every member, and each decodes its own shard from them as well, so that all
// end with the same bits.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/collective/collective.h"

namespace longstride {

// bfloat16: the upper half of an fp32, rounded to nearest, ties to even. NaN stays NaN; what is
// beyond the largest bfloat16 becomes infinite. to.size() == from.size().
void EncodeBfloat16(std::span<const float> from, std::span<uint16_t> to);
void DecodeBfloat16(std::span<const uint16_t> from, std::span<float> to);

// In place: every member ends with the sum, each message and the sum rounded to bfloat16. Half the
// bytes of Collective::AllReduceSum. A single member's data stays as it is. Failures as of
// Collective.
[[nodiscard]] Status AllReduceSumBfloat16(Collective& collective, std::span<float> data,
                                          Purpose purpose);

}  // namespace longstride
