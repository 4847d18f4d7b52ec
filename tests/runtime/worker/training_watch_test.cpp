#include "runtime/worker/training_watch.h"

#include <gmock/gmock.h>

namespace longstride {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr OwnWork::Kind kStep = OwnWork::Kind::kLocalStep;
constexpr OwnWork::Kind kBatch = OwnWork::Kind::kEvaluationBatch;

class TrainingWatchTest : public testing::Test {
 protected:
  void Make(double grace) {
    watch_.emplace(grace);
    watch_->Enter({1, 1}, 0, clock_.Now());
  }
  // Looks ten times a second, until there is a verdict.
  std::optional<Error> Pass(double seconds, bool told = false) {
    for (int i = 0; i < static_cast<int>(10 * seconds + 0.5); ++i) {
      clock_.Advance(milliseconds(100));
      if (auto why = watch_->Look(told, clock_.Now())) return why;
    }
    return std::nullopt;
  }
  void Begin(const OwnWork& work) { watch_->Begins(work, clock_.Now()); }
  // `done` of `steps` local steps of `seconds` each; the next one has begun.
  void Step(int64_t done, int64_t steps, double seconds) {
    for (int64_t h = 0; h <= done; ++h) {
      Begin(h < steps ? OwnWork{kStep, steps - h} : OwnWork{});
      if (h == done) break;
      ASSERT_FALSE(Pass(seconds).has_value());
    }
  }
  void Commit(double communication, double checkpoint = 0) {
    RoundReport report;
    report.round = ++round_;
    report.seconds.communication = communication;
    report.seconds.checkpoint = checkpoint;
    watch_->Committed(report);
  }

  ManualClock clock_;
  std::optional<TrainingWatch> watch_;
  int64_t round_ = 0;
};

TEST_F(TrainingWatchTest, ToldToLeaveItFinishesARoundThatEndsInTime) {
  Make(60);
  Step(4, 10, 2);  // 12 s to go
  ASSERT_FALSE(Pass(2, true).has_value());
  for (int64_t left = 5; left > 0; --left) {
    Begin({kStep, left});
    ASSERT_FALSE(Pass(2, true).has_value()) << left;
  }
  Begin({});
  EXPECT_FALSE(Pass(30, true).has_value()) << "the exchange is waited for";
}

TEST_F(TrainingWatchTest, ToldToLeaveItLeavesARoundThatDoesNotEndInTimeAtOnce) {
  Make(60);
  Commit(0);
  Step(2, 100, 2);
  const auto why = Pass(0.1, true);
  ASSERT_TRUE(why.has_value());
  EXPECT_EQ(why->code, ErrorCode::kInterrupted);
  EXPECT_THAT(why->message, HasSubstr("the round is not finished"));
  EXPECT_EQ(watch_->position().generation, (GenerationId{1, 1}));
  EXPECT_EQ(watch_->position().round, 1);
}

TEST_F(TrainingWatchTest, SynchronizationAndTheLastCheckpointMustFitAsWell) {
  for (const double checkpoint : {10.0, 40.0}) {
    Make(60);
    Commit(5, checkpoint);
    Commit(5);
    Step(2, 4, 2);
    EXPECT_EQ(Pass(0.1, true).has_value(), checkpoint > 20) << checkpoint;
  }
}

TEST_F(TrainingWatchTest, BeforeAStepIsMeasuredThePlanPredicts) {
  Make(60);
  Begin({kStep, 100, 2});
  EXPECT_TRUE(Pass(0.1, true).has_value());
  Make(60);
  Begin({kStep, 10, 2});
  EXPECT_FALSE(Pass(0.1, true).has_value());
}

TEST_F(TrainingWatchTest, WhateverWasPredictedItIsGoneBeforeTheKill) {
  Make(60);
  Step(2, 2, 1);
  Begin({});
  EXPECT_FALSE(Pass(57, true).has_value());
  EXPECT_TRUE(Pass(0.5, true).has_value());
}

TEST_F(TrainingWatchTest, WithoutAKillTheRoundMayTakeAsLongAsItLikes) {
  Make(0);
  Step(2, 1000, 10);
  EXPECT_FALSE(Pass(10, true).has_value());
}

TEST_F(TrainingWatchTest, AStepThatTakesFarLongerThanAnyBeforeIsAHang) {
  Make(60);
  Step(3, 10, 1);
  ASSERT_FALSE(Pass(59).has_value());
  const auto why = Pass(2);
  ASSERT_TRUE(why.has_value());
  EXPECT_EQ(why->code, ErrorCode::kTransient);
  EXPECT_THAT(why->message, HasSubstr("a local step has not ended after 1m"));
}

TEST_F(TrainingWatchTest, SlowStepsAreGivenTheirTime) {
  Make(60);
  Step(2, 10, 30);
  EXPECT_FALSE(Pass(299).has_value());
  EXPECT_TRUE(Pass(2).has_value());
}

TEST_F(TrainingWatchTest, TheFirstOfItsKindMayTakeLonger) {
  Make(60);
  Begin({kStep, 10, 0.1});
  EXPECT_FALSE(Pass(500).has_value());
  Step(3, 3, 0.1);
  Begin({kBatch, 5});
  EXPECT_FALSE(Pass(599).has_value());
  EXPECT_THAT(Pass(2)->message, HasSubstr("a batch of the evaluation"));
}

TEST_F(TrainingWatchTest, WhoWaitsForOthersNeverHangs) {
  Make(60);
  Step(3, 3, 0.1);
  Begin({});
  EXPECT_FALSE(Pass(3600).has_value());
}

TEST_F(TrainingWatchTest, TimeInWhichTheProcessStoodStillDoesNotCount) {
  Make(60);
  Step(3, 10, 1);
  for (int i = 0; i < 30; ++i) {  // frozen again and again
    clock_.Advance(std::chrono::hours(1));
    EXPECT_FALSE(watch_->Look(false, clock_.Now()).has_value());
  }
  EXPECT_FALSE(Pass(20).has_value());
}

}  // namespace
}  // namespace longstride
