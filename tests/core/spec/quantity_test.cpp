#include "core/spec/quantity.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

TEST(Quantity, ReadsKubernetesForms) {
  EXPECT_EQ(*ParseQuantity("2Gi"), int64_t{2} << 30);
  EXPECT_EQ(*ParseQuantity("512M"), 512000000);
  EXPECT_EQ(*ParseQuantity("1.5Ki"), 1536);
  EXPECT_EQ(*ParseQuantity("1e9"), 1000000000);
}

TEST(Quantity, RefusesWhatIsNone) {
  for (const char* text : {"", "Gi", "2 Gi", "2GB", "-1", "1.2.3", "inf", "nan", "0x10", "1e400", "9Pi", "1E"}) {
    EXPECT_FALSE(ParseQuantity(text).ok()) << text;
  }
  EXPECT_NE(ParseQuantity("200m").error().message.find("thousandths"), std::string::npos);
}

TEST(Quantity, RoundTripsExactly) {
  for (const int64_t bytes : {int64_t{0}, int64_t{1}, int64_t{1500}, int64_t{1} << 10, int64_t{3} << 30,
                              int64_t{1} << 53, (int64_t{1} << 53) - 1}) {
    EXPECT_EQ(*ParseQuantity(FormatQuantity(bytes)), bytes) << FormatQuantity(bytes);
  }
  EXPECT_EQ(FormatQuantity(int64_t{2} << 30), "2Gi");
}

}  // namespace
}  // namespace longstride
