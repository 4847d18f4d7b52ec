// Suspend and resume, and what is kept over them.
#include "tests/controller/reconcile/world.h"

namespace longstride {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A job of two workers that trains, with a claim or without.
World Training(bool claim) {
  World world(2);
  if (claim) world.spec().checkpoint.storage = CheckpointStorage{"claim", "runs"};
  world.Start();
  return world;
}

TEST(DecideSuspend, ASuspendedJobMakesNoPods) {
  World world;
  world.spec().run_policy.suspend = true;
  world.Reconcile();
  EXPECT_THAT(world.Created(), IsEmpty());
  EXPECT_TRUE(world.status().Holds(kSuspended));
  EXPECT_EQ(world.status().state, "Suspended");
  EXPECT_EQ(world.status().start_time, 0);
}

TEST(DecideSuspend, WorkersFinishTheirRoundBeforeTheirPodsGo) {
  World world = Training(true);
  world.spec().run_policy.suspend = true;
  world.Reconcile();
  EXPECT_THAT(world.last.coordinator.stop, HasSubstr("suspended"));
  EXPECT_THAT(world.Removed(), IsEmpty());
  EXPECT_EQ(world.status().state, "Suspending");
  world.Exit(0, 7);
  world.Exit(1, 7);
  world.o.coordinator->checkpoint = CheckpointRecord{6, 6000, world.o.now};
  world.Commit(6);
  world.o.coordinator->end = JobEnd{JobOutcome::kStopped, ErrorCode::kInterrupted, "suspended"};
  world.Reconcile();
  EXPECT_THAT(world.Removed(), SizeIs(2));
  EXPECT_FALSE(world.status().Holds(kSuspended)) << "its pods are still there";
  world.Reap();
  world.Reconcile();
  EXPECT_TRUE(world.status().Holds(kSuspended));
  EXPECT_EQ(world.status().progress.round, 6);
  EXPECT_FALSE(world.o.coordinator);
}

TEST(DecideSuspend, AfterTheGracePeriodPodsGoAllTheSame) {
  World world = Training(true);
  world.spec().run_policy.suspend = true;
  world.spec().run_policy.suspend_grace_seconds = 20;
  world.Reconcile();
  EXPECT_EQ(world.last.requeue_at, world.o.now + 20);
  world.Pass(20);
  world.Reconcile();
  EXPECT_THAT(world.Removed(), SizeIs(2));
}

TEST(DecideSuspend, TheDefaultGraceFollowsWhatWasMeasured) {
  World world = Training(true);
  world.o.coordinator->round_seconds = 100;
  world.o.coordinator->checkpoint_seconds = 10;
  world.spec().run_policy.suspend = true;
  world.Reconcile();
  EXPECT_EQ(world.last.requeue_at, world.o.now + 290);
}

TEST(DecideSuspend, ANewLeaderTellsTheWorkersToo) {
  World world = Training(true);
  world.o.coordinator.reset();
  world.spec().run_policy.suspend = true;
  world.Reconcile();
  EXPECT_TRUE(world.o.coordinator);
  EXPECT_THAT(world.Removed(), IsEmpty());
}

TEST(DecideSuspend, PodsThatNeverJoinedGoAtOnce) {
  World world(2);
  world.Reconcile();
  world.spec().run_policy.suspend = true;
  world.Reconcile();
  EXPECT_THAT(world.Removed(), SizeIs(2));
}

TEST(DecideSuspend, AResumedJobGoesOnFromItsCheckpoint) {
  World world = Training(true);
  world.o.coordinator->checkpoint = CheckpointRecord{5, 5000, world.o.now};
  world.Reconcile();
  world.spec().run_policy.suspend = true;
  world.Exit(0, 7);
  world.Exit(1, 7);
  world.Reconcile();
  world.Reap();
  world.Reconcile();
  world.Reconcile();
  ASSERT_TRUE(world.status().Holds(kSuspended));
  world.Pass(100);
  world.spec().run_policy.suspend = false;
  world.events.clear();
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-0-2", "demo-worker-1-2"));
  EXPECT_FALSE(world.status().Holds(kSuspended));
  EXPECT_EQ(world.status().progress.round, 5);
  EXPECT_EQ(world.status().discarded_samples, 0);
  EXPECT_EQ(world.status().restarts, 0);
  EXPECT_EQ(world.status().start_time, world.o.now) << "the deadline counts from here";
  EXPECT_THAT(world.events, ElementsAre("Resumed", "Created"));
}

TEST(DecideSuspend, WithoutAClaimAResumedJobStartsOverAndSaysSo) {
  World world = Training(false);
  world.o.coordinator->progress->totals.data_parallel_bytes = 700;
  world.spec().run_policy.suspend = true;
  world.Exit(0, 7);
  world.Exit(1, 7);
  world.Reconcile();
  world.Reap();
  world.Reconcile();
  EXPECT_THAT(world.Message(kSuspended), HasSubstr("spec.checkpoint.storage"));
  world.spec().run_policy.suspend = false;
  world.events.clear();
  world.Reconcile();
  EXPECT_EQ(world.status().progress.round, 0);
  EXPECT_EQ(world.status().discarded_samples, 5000);
  EXPECT_EQ(world.status().progress.totals.data_parallel_bytes, 700)
      << "what it took stays counted";
  EXPECT_THAT(world.events, Contains("ProgressDiscarded"));
}

TEST(DecideSuspend, ASpecEditedInASuspensionThatNobodySawTakesEffectAllTheSame) {
  World world = Training(true);
  world.o.coordinator->checkpoint = CheckpointRecord{5, 5000, world.o.now};
  world.spec().training.max_epochs = 9;
  world.o.generation = 4;  // suspended, edited, resumed
  world.Reconcile();
  EXPECT_THAT(world.last.coordinator.stop, HasSubstr("suspended"));
  EXPECT_THAT(world.Created(), IsEmpty());
  EXPECT_EQ(world.status().state, "Suspending");
  EXPECT_THAT(world.events, ElementsAre("SpecChanged", "Suspending"));
  world.Exit(0, 7);
  world.Exit(1, 7);
  world.o.coordinator->end = JobEnd{JobOutcome::kStopped, ErrorCode::kInterrupted, "suspended"};
  world.Reconcile();
  EXPECT_THAT(world.Removed(), SizeIs(2));
  world.Reap();
  world.Reconcile();
  EXPECT_FALSE(world.o.coordinator) << "it would go on with the former spec";
  EXPECT_GT(world.last.requeue_at, 0);
  world.events.clear();
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-0-2", "demo-worker-1-2"));
  EXPECT_THAT(world.events, ElementsAre("Resumed", "Created"));
  world.Reconcile();
  EXPECT_EQ(world.status().state, "Starting");
}

TEST(DecideSuspend, AResumeBeforeTheWorkersHaveStoppedWaitsForThemIfTheSpecWasEdited) {
  for (const bool edited : {false, true}) {
    World world = Training(true);
    world.spec().run_policy.suspend = true;
    world.o.generation = 2;
    world.Reconcile();
    world.spec().run_policy.suspend = false;
    if (edited) world.spec().limits.max_global_batch = 512;
    world.o.generation = 3;
    world.Reconcile();
    world.Reconcile();
    EXPECT_EQ(world.status().state, edited ? "Suspending" : "Running");
  }
}

TEST(DecideSuspend, AnotherReleasesHashOfTheSameSpecIsNoEdit) {
  World world = Training(true);
  world.status().spec_hash = "0123456789abcdef";
  world.Reconcile();
  EXPECT_EQ(world.status().state, "Running");
  EXPECT_NE(world.status().spec_hash, "0123456789abcdef");
}

TEST(DecideSuspend, AJobThatCompletesWhileItIsSuspendedIsComplete) {
  World world = Training(true);
  world.spec().run_policy.suspend = true;
  world.Exit(0, 0);
  world.Exit(1, 0);
  world.o.coordinator->end =
      JobEnd{JobOutcome::kCompleted, ErrorCode::kInterrupted, "all workers completed"};
  world.Reconcile();
  EXPECT_TRUE(world.status().Holds(kComplete));
}

TEST(DecideSuspend, WhatIsLostWithAllWhoHeldTheStateIsCounted) {
  World world = Training(true);
  world.Commit(20);
  world.Reconcile();
  world.Commit(15);  // all died; the newest checkpoint was that of round 15
  world.Reconcile();
  EXPECT_EQ(world.status().discarded_samples, 5000);
  EXPECT_THAT(world.events, Contains("ProgressDiscarded"));
}

}  // namespace
}  // namespace longstride
