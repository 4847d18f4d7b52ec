#include "core/base/timestamps.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

TEST(TimestampsTest, AreWrittenAsKubernetesWritesThem) {
  EXPECT_EQ(FormatTime(1764000000.9), "2025-11-24T16:00:00Z");
  EXPECT_EQ(FormatMicroTime(1764000000.25), "2025-11-24T16:00:00.250000Z");
}

TEST(TimestampsTest, AreReadWithFractionsAndOffsets) {
  EXPECT_EQ(ParseTime("2025-11-24T16:00:00Z"), 1764000000);
  EXPECT_DOUBLE_EQ(ParseTime("2025-11-24T16:00:00.250000Z").value_or(0), 1764000000.25);
  EXPECT_EQ(ParseTime("2025-11-24T17:30:00+01:30"), 1764000000);
  EXPECT_EQ(ParseTime("2025-11-24T15:00:00-01:00"), 1764000000);
}

TEST(TimestampsTest, OtherTextIsNoTime) {
  for (const char* text :
       {"", "today", "2025-11-24", "2025-11-24T16:00:00", "2025-11-24T16:00:00X"}) {
    EXPECT_EQ(ParseTime(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace longstride
