// A background transfer over links of known speed, on a clock that only the link moves.
#include "runtime/training/transfer_pacer.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

class PacedTransfer : public ::testing::TestWithParam<double> {};

TEST_P(PacedTransfer, TakesAtMostItsShareOfTheLinkAndChunksStayShort) {
  const double bytes_per_second = GetParam();
  TransferPacer pacer;
  ManualClock clock;
  double sent = 0;
  while (ToSeconds(clock.Now().time_since_epoch()) < 60) {
    const int64_t bytes = pacer.bytes();
    const Duration took = FromSeconds(static_cast<double>(bytes) / bytes_per_second);
    EXPECT_TRUE(ToSeconds(took) <= TransferPacer::kChunkSeconds * 1.01 ||
                bytes == TransferPacer::kLeastBytes);
    clock.Advance(took + pacer.Took(bytes, took));
    sent += static_cast<double>(bytes);
    const double seconds = ToSeconds(clock.Now().time_since_epoch());
    EXPECT_LE(sent, TransferPacer::kShare * bytes_per_second * seconds * 1.001);
  }
  EXPECT_GE(sent, 0.9 * TransferPacer::kShare * bytes_per_second * 60);
}

INSTANTIATE_TEST_SUITE_P(BytesPerSecond, PacedTransfer,
                         ::testing::Values(1e5, 2.5e6, 12.5e6, 125e6, 1.25e9));

TEST(TransferPacer, FollowsALinkThatBecomesSlow) {
  TransferPacer pacer;
  for (int i = 0; i < 20; ++i) pacer.Took(pacer.bytes(), FromSeconds(0.001));
  EXPECT_EQ(pacer.bytes(), TransferPacer::kMostBytes);
  const Duration rest = pacer.Took(pacer.bytes(), FromSeconds(1));
  EXPECT_DOUBLE_EQ(ToSeconds(rest), 1 / TransferPacer::kShare - 1);
  EXPECT_NEAR(static_cast<double>(pacer.bytes()), 0.05 * TransferPacer::kMostBytes, 1);
}

}  // namespace
}  // namespace longstride
