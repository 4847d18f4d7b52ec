#include "controller/kube/backoff.h"

#include <gtest/gtest.h>

namespace longstride::kube {
namespace {

TEST(BackoffTest, DoublesFrom800MillisecondsTo30SecondsWithUpToAsMuchJitter) {
  ManualClock clock;
  SeededRandom random(1);
  Backoff backoff;
  for (const double expected : {0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0}) {
    const double delay = ToSeconds(backoff.Next(clock.Now(), random));
    EXPECT_GE(delay, expected - 1e-6);
    EXPECT_LT(delay, 2 * expected);
  }
}

TEST(BackoffTest, StartsOverAfterTwoMinutesWithoutFailure) {
  ManualClock clock;
  SeededRandom random(1);
  Backoff backoff;
  for (int i = 0; i < 5; ++i) (void)backoff.Next(clock.Now(), random);
  clock.Advance(std::chrono::minutes(2) + std::chrono::seconds(1));
  EXPECT_LT(ToSeconds(backoff.Next(clock.Now(), random)), 1.6);
}

}  // namespace
}  // namespace longstride::kube
