#include "controller/kube/token_bucket.h"

#include <gtest/gtest.h>

namespace longstride::kube {
namespace {

TEST(TokenBucketTest, GivesItsBurstAtOnceAndThenAtItsRate) {
  ManualClock clock;
  TokenBucket bucket(10, 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(bucket.Reserve(clock.Now()), Duration::zero());
  EXPECT_NEAR(ToSeconds(bucket.Reserve(clock.Now())), 0.1, 1e-9);
  EXPECT_NEAR(ToSeconds(bucket.Reserve(clock.Now())), 0.2, 1e-9);
}

TEST(TokenBucketTest, FillsUpToItsBurstAndNoFurther) {
  ManualClock clock;
  TokenBucket bucket(10, 2);
  EXPECT_TRUE(bucket.TryTake(clock.Now()));
  clock.Advance(std::chrono::hours(1));
  EXPECT_TRUE(bucket.TryTake(clock.Now()));
  EXPECT_TRUE(bucket.TryTake(clock.Now()));
  EXPECT_FALSE(bucket.TryTake(clock.Now()));
}

TEST(TokenBucketTest, AWaitThatIsTooLongTakesNothing) {
  ManualClock clock;
  TokenBucket bucket(1, 1);
  EXPECT_EQ(bucket.ReserveWithin(clock.Now(), Duration::zero()), Duration::zero());
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(bucket.ReserveWithin(clock.Now(), std::chrono::milliseconds(10)), std::nullopt);
  EXPECT_EQ(bucket.ReserveWithin(clock.Now(), std::chrono::seconds(1)), std::chrono::seconds(1));
}

TEST(TokenBucketTest, WhatWasTakenInAdvanceIsPaidBack) {
  ManualClock clock;
  TokenBucket bucket(1, 1);
  (void)bucket.Reserve(clock.Now());
  (void)bucket.Reserve(clock.Now());
  clock.Advance(std::chrono::seconds(1));
  EXPECT_FALSE(bucket.TryTake(clock.Now()));
  clock.Advance(std::chrono::seconds(1));
  EXPECT_TRUE(bucket.TryTake(clock.Now()));
}

}  // namespace
}  // namespace longstride::kube
