#include "core/base/median.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

TEST(Median, IsTheMiddleInAnyOrder) {
  EXPECT_EQ(Median({7}), 7);
  EXPECT_EQ(Median({9, 1, 5}), 5);
  EXPECT_EQ(Median({4, 1, 1000, 2}), 3) << "of an even number, the mean of the two in the middle";
  EXPECT_EQ(Median({2, 1}), 1.5);
}

}  // namespace
}  // namespace longstride
