// A 64-bit checksum of a file's content, for damage (not for malice). Fast enough that verifying a
// checkpoint costs no more than reading it.
//
// The content is taken as little-endian 64-bit words dealt to four lanes; each step is a bijection
// of its lane, so that damage confined to one word is always found, and other damage is missed with
// probability about 2^-64. The last block is padded with zeros; the length is mixed in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace longstride::checkpoint {

class Checksum {
 public:
  // Pieces of any size, in order; how the content is cut does not matter.
  void Update(std::span<const uint8_t> bytes);
  [[nodiscard]] uint64_t Value() const;

 private:
  static constexpr size_t kBlock = 32;
  void Block(const uint8_t* block);

  std::array<uint64_t, 4> lanes_{1, 2, 3, 4};
  std::array<uint8_t, kBlock> pending_{};
  size_t pending_size_ = 0;
  uint64_t size_ = 0;
};

[[nodiscard]] uint64_t ChecksumOf(std::span<const uint8_t> bytes);

}  // namespace longstride::checkpoint
