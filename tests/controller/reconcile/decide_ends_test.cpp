// Jobs that are over: complete, failed, out of time; and what is cleaned up after them.
#include "tests/controller/reconcile/world.h"

namespace longstride {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

void Completed(World& world) {
  for (int64_t i = 0; i < world.spec().replicas; ++i) world.Exit(i, 0, "Completed");
  world.o.coordinator->end =
      JobEnd{JobOutcome::kCompleted, ErrorCode::kInterrupted, "all workers completed"};
  world.o.coordinator->ended_at = world.o.now;
}

TEST(DecideEnds, AJobWhoseWorkersAreDoneIsComplete) {
  World world(2);
  world.Start();
  Completed(world);
  world.Reconcile();
  EXPECT_TRUE(world.status().Holds(kComplete));
  EXPECT_FALSE(world.status().Holds(kRunning));
  EXPECT_EQ(world.status().state, "Complete");
  EXPECT_EQ(world.status().completion_time, world.o.now);
  EXPECT_THAT(world.Message(kComplete), HasSubstr("5,000 samples"));
  EXPECT_THAT(world.events, Contains("Completed"));
  EXPECT_THAT(world.Removed(), IsEmpty());
}

TEST(DecideEnds, TheWorkersExitCodesAreEnoughWhereNoCoordinatorKnows) {
  World world(2);
  world.Start();
  world.o.coordinator.reset();
  world.Exit(0, 0);
  world.Reconcile();
  EXPECT_FALSE(world.status().finished()) << "the other is about to end";
  EXPECT_THAT(world.Created(), IsEmpty());
  world.Exit(1, 0);
  world.Reconcile();
  EXPECT_TRUE(world.status().Holds(kComplete));
}

TEST(DecideEnds, AWorkerThatDiesAfterTheOthersAreDoneDoesNotMatter) {
  World world(2);
  world.Start();
  Completed(world);
  world.Exit(1, 137);
  world.Reconcile();
  EXPECT_TRUE(world.status().Holds(kComplete));
}

TEST(DecideEnds, SidecarsThatRunOnDoNotKeepTheJobFromItsEnd) {
  World world(2);
  world.Start();
  Completed(world);
  world.Pod(0).phase = "Running";
  world.Pod(0).others_run = true;
  world.Reconcile();
  EXPECT_TRUE(world.status().Holds(kComplete));
  EXPECT_THAT(world.Removed(), ElementsAre("demo-worker-0-1"));
}

TEST(DecideEnds, AWorkerThatIsDoneKeepsItsPodForItsExitCodeUntilTheJobIsComplete) {
  World world(2);
  world.Start();
  world.o.coordinator.reset();  // another leader, whom nobody has told
  world.Exit(0, 0);
  world.Pod(0).phase = "Running";
  world.Pod(0).others_run = true;
  world.Reconcile();
  EXPECT_THAT(world.Removed(), IsEmpty());
  EXPECT_THAT(world.Created(), IsEmpty());
  world.Exit(1, 0);
  world.Reconcile();
  EXPECT_TRUE(world.status().Holds(kComplete));
  EXPECT_THAT(world.Removed(), ElementsAre("demo-worker-0-1"));
}

TEST(DecideEnds, AWorkerThatHangsAfterTheEndIsNotWaitedForForEver) {
  World world(2);
  world.Start();
  Completed(world);
  world.Pod(1).phase = "Running";
  world.Pod(1).worker = PodView::Container::kRunning;
  world.Reconcile();
  EXPECT_FALSE(world.status().finished());
  EXPECT_TRUE(world.status().Holds(kRunning));
  EXPECT_EQ(world.last.requeue_at, world.o.now + 30);
  world.Pass(30);
  world.Reconcile();
  EXPECT_TRUE(world.status().Holds(kComplete));
}

TEST(DecideEnds, CleanPodPolicySaysWhichPodsGo) {
  const std::pair<CleanPodPolicy, size_t> kCases[] = {
      {CleanPodPolicy::kNone, 0}, {CleanPodPolicy::kRunning, 1}, {CleanPodPolicy::kAll, 2}};
  for (const auto& [policy, removed] : kCases) {
    World world(2);
    world.spec().run_policy.clean_pod_policy = policy;
    world.Start();
    world.Exit(0, 2);
    world.Reconcile();
    EXPECT_THAT(world.Removed(), SizeIs(removed));
    EXPECT_TRUE(world.o.coordinator) << "the one at work has to hear of the end";
    EXPECT_THAT(world.last.coordinator.stop, HasSubstr("failed"));
  }
}

TEST(DecideEnds, AFinishedJobStaysAsItIs) {
  World world(2);
  world.Start();
  Completed(world);
  world.Reconcile();
  const JobStatus before = world.status();
  world.o.pods.clear();
  world.spec().replicas = 4;
  world.spec().run_policy.suspend = true;
  world.Pass(1000);
  world.Reconcile();
  EXPECT_THAT(world.last.create, IsEmpty());
  EXPECT_EQ(world.status(), before);
  EXPECT_FALSE(world.o.coordinator);
}

TEST(DecideEnds, AfterItsTimeToLiveTheJobIsDeleted) {
  World world(2);
  world.spec().run_policy.ttl_seconds_after_finished = 60;
  world.Start();
  Completed(world);
  world.Reconcile();
  EXPECT_EQ(world.last.requeue_at, world.o.now + 60);
  world.Pass(59);
  world.Reconcile();
  EXPECT_FALSE(world.last.delete_job);
  world.Pass(1);
  world.Reconcile();
  EXPECT_TRUE(world.last.delete_job);
}

TEST(DecideEnds, WithoutATimeToLiveItStays) {
  World world(2);
  world.Start();
  Completed(world);
  world.Reconcile();
  world.Pass(1e8);
  world.Reconcile();
  EXPECT_FALSE(world.last.delete_job);
  EXPECT_EQ(world.last.requeue_at, 0);
}

TEST(DecideEnds, TheDeadlineFailsTheJob) {
  World world(2);
  world.spec().run_policy.active_deadline_seconds = 100;
  world.Start();
  EXPECT_LE(world.last.requeue_at, world.status().start_time + 100);
  world.Pass(100);
  world.Reconcile();
  EXPECT_EQ(world.Reason(kFailed), "DeadlineExceeded");
  EXPECT_THAT(world.Removed(), SizeIs(2));
}

TEST(DecideEnds, WhatWorkersFinishAfterTheirJobHasFailedIsOnRecord) {
  World world(2);
  world.spec().run_policy.active_deadline_seconds = 100;
  world.Start();
  world.Pass(100);
  world.Reconcile();
  ASSERT_EQ(world.Reason(kFailed), "DeadlineExceeded");
  world.Commit(6);
  world.o.coordinator->checkpoint = CheckpointRecord{.round = 6};
  world.Reconcile();
  EXPECT_EQ(world.status().progress.round, 6);
  ASSERT_TRUE(world.status().last_checkpoint);
  EXPECT_EQ(world.status().last_checkpoint->round, 6);
}

TEST(DecideEnds, ASuspendedJobHasNoDeadline) {
  World world(2);
  world.spec().run_policy.active_deadline_seconds = 100;
  world.spec().run_policy.suspend = true;
  world.Reconcile();
  world.Pass(1000);
  world.Reconcile();
  EXPECT_FALSE(world.status().finished());
}

}  // namespace
}  // namespace longstride
