#include "runtime/collective/codec.h"

#include <bit>
#include <vector>

namespace longstride {
namespace {

// Without branches, so that loops over it vectorize.
inline uint16_t Encode(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const uint32_t quiet_nan = (bits >> 16) | 0x40;
  return static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? quiet_nan : rounded);
}

inline float Decode(uint16_t value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

void AddBfloat16(std::span<const uint16_t> from, std::span<float> sum) {
  for (size_t i = 0; i < from.size(); ++i) sum[i] += Decode(from[i]);
}

}  // namespace

void EncodeBfloat16(std::span<const float> from, std::span<uint16_t> to) {
  for (size_t i = 0; i < from.size(); ++i) to[i] = Encode(from[i]);
}

void DecodeBfloat16(std::span<const uint16_t> from, std::span<float> to) {
  for (size_t i = 0; i < from.size(); ++i) to[i] = Decode(from[i]);
}

Status AllReduceSumBfloat16(Collective& collective, std::span<float> data, Purpose purpose) {
  const size_t members = collective.size();
  if (members == 1) return Status();
  const size_t shard = (data.size() + members - 1) / members;  // the last one is padded with zeros
  std::vector<uint16_t> encoded(shard * members), received(shard * members);
  EncodeBfloat16(data, std::span(encoded).first(data.size()));
  LONGSTRIDE_RETURN_IF_ERROR(collective.AllToAll(
      std::as_bytes(std::span(encoded)), std::as_writable_bytes(std::span(received)), purpose));

  std::vector<float> sum(shard);
  std::span<const uint16_t> messages(received);
  DecodeBfloat16(messages.first(shard), sum);
  for (size_t r = 1; r < members; ++r) AddBfloat16(messages.subspan(r * shard, shard), sum);

  std::vector<uint16_t> own(shard);
  EncodeBfloat16(sum, own);
  LONGSTRIDE_RETURN_IF_ERROR(collective.AllGather(
      std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(encoded)), purpose));
  DecodeBfloat16(std::span(encoded).first(data.size()), data);
  return Status();
}

}  // namespace longstride
