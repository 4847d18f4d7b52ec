#include "controller/app/process_usage.h"

#include <gtest/gtest.h>

#include "core/base/clock.h"

namespace longstride {
namespace {

TEST(ProcessUsage, TellsWhenTheProcessBegan) {
  constexpr double kLongestRun = 3600;  // of this program
  const ProcessUsage usage = ReadProcessUsage();
  ASSERT_TRUE(usage.start_time);
  const double age = SystemClock().UnixSeconds() - *usage.start_time;
  EXPECT_GE(age, 0);
  EXPECT_LT(age, kLongestRun);
  EXPECT_EQ(ReadProcessUsage().start_time, usage.start_time);
}

}  // namespace
}  // namespace longstride
