#include "core/base/format.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

TEST(Format, GroupsDigits) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
  EXPECT_EQ(FormatCount(-1000), "-1,000");
}

TEST(Format, BytesInDecimalUnits) {
  EXPECT_EQ(FormatBytes(17), "17 B");
  EXPECT_EQ(FormatBytes(37.4e6), "37.4 MB");
  EXPECT_EQ(FormatBytes(2474e6), "2.47 GB");
}

TEST(Format, SecondsByMagnitude) {
  EXPECT_EQ(FormatSeconds(0.0123), "12.3 ms");
  EXPECT_EQ(FormatSeconds(75), "1m15s");
  EXPECT_EQ(FormatSeconds(3725), "1h02m");
}

}  // namespace
}  // namespace longstride
