#include "runtime/worker/round_outlook.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

TEST(RoundOutlook, IsTheStepsThatAreLeftAndTheBoundary) {
  EXPECT_DOUBLE_EQ(SecondsToBoundary({.steps_left = 10, .step_seconds = 2, .boundary_seconds = 5}),
                   25);
  EXPECT_DOUBLE_EQ(SecondsToBoundary(
                       {.steps_left = 1, .step_seconds = 2, .boundary_seconds = 5, .elapsed = 1.5}),
                   5.5);
  EXPECT_DOUBLE_EQ(
      SecondsToBoundary({.steps_left = 1, .step_seconds = 2, .boundary_seconds = 5, .elapsed = 9}),
      5)
      << "a slow step ends at any moment";
  EXPECT_DOUBLE_EQ(SecondsToBoundary({.boundary_seconds = 5, .elapsed = 2}), 3);
  EXPECT_DOUBLE_EQ(SecondsToBoundary({.boundary_seconds = 5, .elapsed = 50}), 0);
  EXPECT_DOUBLE_EQ(SecondsToBoundary({}), 0) << "nothing is known";
}

TEST(RoundOutlook, MustFitIntoTheGracePeriodWithAMargin) {
  struct Case {
    double boundary, left, grace;
    bool fits;
  };
  for (const Case& c : {Case{40, 60, 60, true}, Case{46, 60, 60, false}, Case{40, 50, 60, false},
                        Case{0, 3, 60, true}, Case{0, 2.9, 60, false}, Case{0, 0.25, 1, true},
                        Case{0.5, 1, 1, true}, Case{0.7, 1, 1, false}, Case{0, -1, 60, false}}) {
    EXPECT_EQ(FitsIntoGrace(c.boundary, c.left, c.grace), c.fits)
        << c.boundary << " s, with " << c.left << " of " << c.grace << " s left";
  }
}

TEST(RoundOutlook, TenTimesWhatItShouldTakeIsAHangButNeverUnderAMinute) {
  EXPECT_DOUBLE_EQ(HangSeconds(0.1, 0.2), 60);
  EXPECT_DOUBLE_EQ(HangSeconds(0, 30), 300);
  EXPECT_DOUBLE_EQ(HangSeconds(40, 30), 400);
  EXPECT_DOUBLE_EQ(HangSeconds(0.1, std::nullopt), 600) << "the first may have to compile";
  EXPECT_DOUBLE_EQ(HangSeconds(100, std::nullopt), 1000);
}

}  // namespace
}  // namespace longstride
