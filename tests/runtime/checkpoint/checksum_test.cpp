#include "runtime/checkpoint/checksum.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/base/random.h"

namespace longstride::checkpoint {
namespace {

std::vector<uint8_t> Bytes(size_t count, uint64_t seed) {
  SeededRandom random(seed);
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.NextWord());
  return bytes;
}

TEST(Checksum, DoesNotDependOnHowTheContentIsCut) {
  const uint64_t seed = 11;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  const std::vector<uint8_t> bytes = Bytes(1000, seed);
  SeededRandom random(seed);
  for (int trial = 0; trial < 100; ++trial) {
    Checksum checksum;
    for (size_t at = 0; at < bytes.size();) {
      const size_t piece = std::min<size_t>(random.NextBelow(90), bytes.size() - at);
      checksum.Update({bytes.data() + at, piece});
      at += piece;
    }
    ASSERT_EQ(checksum.Value(), ChecksumOf(bytes));
  }
}

TEST(Checksum, EveryBitOfTheContentCounts) {
  std::vector<uint8_t> bytes = Bytes(77, 12);
  const uint64_t right = ChecksumOf(bytes);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    ASSERT_NE(ChecksumOf(bytes), right) << "bit " << bit;
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
}

TEST(Checksum, LengthCountsEvenForZeros) {
  EXPECT_NE(ChecksumOf(std::vector<uint8_t>(31)), ChecksumOf(std::vector<uint8_t>(32)));
  EXPECT_NE(ChecksumOf({}), ChecksumOf(std::vector<uint8_t>(1)));
}

// Pinned: checkpoints on disks hold these.
TEST(Checksum, ValuesArePinned) {
  const std::string text = "longstride writes this in every checkpoint";
  EXPECT_EQ(ChecksumOf({reinterpret_cast<const uint8_t*>(text.data()), text.size()}),
            6221475909258796022ULL);
}

}  // namespace
}  // namespace longstride::checkpoint
