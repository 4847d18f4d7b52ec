#include "runtime/checkpoint/checksum.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/random.h"

namespace longstride::checkpoint {

static_assert(std::endian::native == std::endian::little);

void Checksum::Block(const uint8_t* block) {
  for (size_t i = 0; i < lanes_.size(); ++i) {
    uint64_t word;
    std::memcpy(&word, block + 8 * i, 8);
    lanes_[i] = std::rotl(lanes_[i] ^ (word * 0x9fb21c651e98df25ULL), 29) * 0xd6e8feb86659fd93ULL;
  }
}

void Checksum::Update(std::span<const uint8_t> bytes) {
  size_ += bytes.size();
  if (pending_size_ > 0) {
    const size_t taken = std::min(kBlock - pending_size_, bytes.size());
    std::copy_n(bytes.begin(), taken,
                pending_.begin() + static_cast<std::ptrdiff_t>(pending_size_));
    pending_size_ += taken;
    bytes = bytes.subspan(taken);
    if (pending_size_ < kBlock) return;
    Block(pending_.data());
    pending_size_ = 0;
  }
  for (; bytes.size() >= kBlock; bytes = bytes.subspan(kBlock)) Block(bytes.data());
  std::copy(bytes.begin(), bytes.end(), pending_.begin());
  pending_size_ = bytes.size();
}

uint64_t Checksum::Value() const {
  Checksum last = *this;
  if (last.pending_size_ > 0) {
    std::fill(last.pending_.begin() + static_cast<std::ptrdiff_t>(last.pending_size_),
              last.pending_.end(), uint8_t{0});
    last.Block(last.pending_.data());
  }
  return Hash64(last.lanes_[0], last.lanes_[1], last.lanes_[2], last.lanes_[3], size_);
}

uint64_t ChecksumOf(std::span<const uint8_t> bytes) {
  Checksum checksum;
  checksum.Update(bytes);
  return checksum.Value();
}

}  // namespace longstride::checkpoint
