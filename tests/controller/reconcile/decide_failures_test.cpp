// Workers that end: which are started anew, when, and when that is enough.
#include "tests/controller/reconcile/world.h"

namespace longstride {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

TEST(DecideFailures, ALostWorkerIsReplacedAndTheOthersGoOn) {
  World world;
  world.Start();
  world.Exit(2, 137);
  world.Reconcile();
  EXPECT_THAT(world.Created(), IsEmpty()) << "the first pause is a second";
  world.Pass(1);
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-2-2"));
  EXPECT_THAT(world.Removed(), IsEmpty()) << "its log stays";
  EXPECT_TRUE(world.status().Holds(kRunning));
  EXPECT_TRUE(world.status().Holds(kRestarting));
  EXPECT_EQ(world.status().restarts, 1);
  EXPECT_EQ(world.status().last_failure->worker, "worker-2");
  EXPECT_THAT(world.events, Contains("WorkerEnded"));
}

TEST(DecideFailures, PausesGrowForEachWorkerAlone) {
  World world;
  world.Start();
  for (int i = 0; i < 3; ++i) {
    world.Exit(0, 6);
    world.Reconcile();
    world.Pass(10);
    world.Reconcile();
  }
  world.Exit(0, 6);
  world.Exit(1, 6);
  world.Reconcile();
  world.Pass(1);
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-1-2"));
  EXPECT_EQ(world.last.requeue_at, world.o.now + 7);
}

TEST(DecideFailures, TheCoordinatorIsToldOfAnExitBeforeTheNextPodIsMade) {
  World world;
  world.Start();
  world.Pod(1).phase = "Failed";
  world.Pod(1).worker = PodView::Container::kTerminated;
  world.Pod(1).exit_code = 137;
  world.Pod(1).finished = world.o.now;
  world.Reconcile();
  ASSERT_THAT(world.last.coordinator.exits, SizeIs(1));
  EXPECT_EQ(world.last.coordinator.exits[0].place.index, 1);
  EXPECT_EQ(world.last.coordinator.exits[0].exit_code, 137);
  world.Reconcile();
  EXPECT_THAT(world.last.coordinator.exits, IsEmpty());
}

TEST(DecideFailures, ExitCodesThatWouldRecurFailTheJob) {
  const std::pair<int, const char*> kCases[] = {
      {1, "Bug"}, {2, "UserError"}, {3, "DataError"}, {4, "ResourceError"}};
  for (const auto& [code, reason] : kCases) {
    World world;
    world.Start();
    world.Exit(0, code);
    world.Pod(0).worker_message = "data.path: /data is empty";
    world.Reconcile();
    EXPECT_EQ(world.Reason(kFailed), reason);
    EXPECT_THAT(world.Message(kFailed), HasSubstr("worker-0"));
    EXPECT_THAT(world.Message(kFailed), HasSubstr("node-0"));
    EXPECT_THAT(world.Message(kFailed), HasSubstr("/data is empty"));
    EXPECT_THAT(world.last.create, IsEmpty());
  }
}

TEST(DecideFailures, OutOfMemoryIsSaidWithWhatToDo) {
  World world;
  world.Start();
  world.Exit(0, 137, "OOMKilled");
  world.Reconcile();
  EXPECT_EQ(world.status().last_failure->reason, "OOMKilled");
  EXPECT_THAT(world.status().last_failure->message, HasSubstr("resources.limits.memory"));
  EXPECT_FALSE(world.status().finished());
}

TEST(DecideFailures, TheNextPodAfterOutOfMemoryTakesWhatTheCoordinatorMakesOfIt) {
  World world;
  world.Start();
  world.Exit(0, 137, "OOMKilled");
  world.Member(0)->state = MemberView::State::kMember;
  world.Pass(60);  // nobody looked for longer than the pause
  world.Reconcile();
  ASSERT_THAT(world.last.coordinator.exits, SizeIs(1));
  EXPECT_TRUE(world.last.coordinator.exits[0].had_joined);
  EXPECT_TRUE(world.last.coordinator.exits[0].out_of_memory);
  EXPECT_THAT(world.Created(), IsEmpty()) << "the coordinator has not heard of it yet";
  EXPECT_EQ(world.last.requeue_at, world.o.now);
  world.o.coordinator->micro_batch_limits[{"worker", 0}] = 16;
  world.Reconcile();
  ASSERT_THAT(world.Created(), ElementsAre("demo-worker-0-2"));
  EXPECT_EQ(world.Environment("LONGSTRIDE_MICRO_BATCH"), "16");
  EXPECT_THAT(world.last.coordinator.exits, IsEmpty());
}

TEST(DecideFailures, OutOfMemoryIsTheCoordinatorsToKnowWhoeverItTookTheWorkerFor) {
  World world;
  world.Start();
  world.Exit(0, 137, "OOMKilled");
  world.Member(0)->state = MemberView::State::kLost;  // its silence was noticed first
  world.Exit(1, 137, "OOMKilled");
  world.Member(1)->pod_uid = "of the one before";
  world.Reconcile();
  ASSERT_THAT(world.last.coordinator.exits, SizeIs(2));
  EXPECT_TRUE(world.last.coordinator.exits[0].had_joined);
  EXPECT_FALSE(world.last.coordinator.exits[1].had_joined);
  EXPECT_TRUE(world.last.coordinator.exits[1].out_of_memory);
}

TEST(DecideFailures, TheKubeletsWordOnAWorkerThatWasGivenUpAlreadyIsPassedOn) {
  World world;
  world.Start();
  world.Member(0)->state = MemberView::State::kLost;
  world.Reconcile();
  EXPECT_THAT(world.last.coordinator.exits, IsEmpty());
  world.Exit(0, 137, "OOMKilled");
  world.Pass(1);
  world.Reconcile();
  ASSERT_THAT(world.last.coordinator.exits, SizeIs(1));
  EXPECT_TRUE(world.last.coordinator.exits[0].out_of_memory);
  EXPECT_EQ(world.status().restarts, 1) << "it ended once";
  world.Reconcile();
  EXPECT_THAT(world.last.coordinator.exits, IsEmpty());
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-0-2"));
}

TEST(DecideFailures, ACoordinatorThatIsNewToTheJobHearsOfTheLastKillBeforeItsNextPodIsMade) {
  World world;
  world.Start();
  world.Exit(0, 137, "OOMKilled");
  world.Reconcile();
  world.o.coordinator.reset();  // another leader
  world.Pass(1);
  world.Reconcile();
  EXPECT_THAT(world.Created(), IsEmpty());
  EXPECT_THAT(world.last.coordinator.exits, SizeIs(1));
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-0-2"));
}

TEST(DecideFailures, AKillOfAnotherProcessSaysNothingOfTheWorkersMicroBatch) {
  World world;
  world.Start();
  world.Exit(0, 6, "OOMKilled");
  world.Exit(1, 137);
  world.Reconcile();
  EXPECT_THAT(world.last.coordinator.exits, IsEmpty());
}

TEST(DecideFailures, TheJobsBackoffLimitEndsIt) {
  World world;
  world.spec().run_policy.backoff_limit = 1;
  world.Start();
  world.Exit(0, 6);
  world.Reconcile();
  EXPECT_FALSE(world.status().finished());
  world.Exit(1, 6);
  world.Reconcile();
  EXPECT_EQ(world.Reason(kFailed), "BackoffLimitExceeded");
  EXPECT_THAT(world.Message(kFailed), HasSubstr("TransientError"));
}

TEST(DecideFailures, AWorkersOwnLimitEndsTheJob) {
  World world;
  world.spec().run_policy.backoff_limit_per_worker = 1;
  world.Start();
  world.Exit(0, 6);
  world.Exit(1, 6);
  world.Reconcile();
  EXPECT_FALSE(world.status().finished());
  world.Pass(5);
  world.Reconcile();
  world.Exit(1, 6);
  world.Reconcile();
  EXPECT_EQ(world.Reason(kFailed), "BackoffLimitExceeded");
  EXPECT_THAT(world.Message(kFailed), HasSubstr("worker-1 failed 2 times"));
}

TEST(DecideFailures, DisruptionsNeverCountAndAreReplacedAtOnce) {
  World world;
  world.spec().run_policy.backoff_limit = 0;
  world.Start();
  for (int i = 0; i < 5; ++i) {
    world.Pod(3).disrupted = true;
    world.Exit(3, 137);
    world.Reconcile();
    EXPECT_THAT(world.last.create, SizeIs(1));
  }
  EXPECT_FALSE(world.status().finished());
  EXPECT_THAT(world.events, Contains("WorkerDisrupted"));
}

TEST(DecideFailures, AWorkerThatWasAskedToLeaveDoesNotCount) {
  World world;
  world.spec().run_policy.backoff_limit = 0;
  world.Start();
  world.Exit(3, 7);
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-3-2"));
}

TEST(DecideFailures, AVanishedPodIsReplacedUnderTheNextName) {
  World world;
  world.Start();
  world.Vanish(0);
  world.Reconcile();
  world.Pass(1);
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-0-2"));
  EXPECT_EQ(world.status().last_failure->reason, "Vanished");
}

TEST(DecideFailures, ADeletedPodIsReplacedOnceItsWorkerHasLeft) {
  World world;
  world.Start();
  world.Pod(1).deleted = world.o.now + 30;
  world.Reconcile();
  EXPECT_THAT(world.Created(), IsEmpty());
  world.Member(1)->state = MemberView::State::kLost;
  world.Reconcile();
  world.Pass(1);
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-1-2")) << "its node may be gone for ever";
}

TEST(DecideFailures, ADeletedPodWhoseWorkerLeftInGoodOrderDoesNotCount) {
  World world;
  world.Start();
  world.Pod(1).deleted = world.o.now + 30;
  world.Member(1)->state = MemberView::State::kLeft;
  world.Reconcile();
  EXPECT_EQ(world.status().last_failure->reason, "Interrupted");
  EXPECT_EQ(world.status().groups[0].workers[1].failures, 0);
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-1-2")) << "at once";
}

TEST(DecideFailures, AWorkerThatItsCoordinatorLostIsDeletedAndReplaced) {
  World world;
  world.Start();
  world.Member(1)->state = MemberView::State::kLost;
  world.Member(1)->reason = "no heartbeat for 2.6 s";
  world.Reconcile();
  EXPECT_THAT(world.Removed(), ElementsAre("demo-worker-1-1"));
  world.Pass(1);
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-1-2"));
  EXPECT_THAT(world.status().last_failure->message, HasSubstr("no heartbeat"));
}

TEST(DecideFailures, WhatAWorkerSaysOfItselfCountsBeforeItsContainerHasEnded) {
  World world;
  world.Start();
  world.Member(1)->state = MemberView::State::kLost;
  world.Member(1)->reason = "/data/x.idx: cannot be opened";
  world.Member(1)->code = ErrorCode::kData;
  world.Reconcile();
  EXPECT_EQ(world.status().last_failure->reason, "DataError");
  EXPECT_EQ(world.status().last_failure->exit_code, 3);
  EXPECT_EQ(world.status().restarts, 0) << "nobody takes its place";
  EXPECT_THAT(world.Removed(), Not(Contains("demo-worker-1-1"))) << "its log is not complete yet";
  world.Pass(10);
  world.Reconcile();
  EXPECT_THAT(world.Removed(), ElementsAre("demo-worker-1-1"));
}

TEST(DecideFailures, OnlyTheNewestPodThatEndedIsKept) {
  World world;
  world.Start();
  for (int i = 0; i < 2; ++i) {
    world.Exit(0, 6);
    world.Reconcile();
    world.Pass(5);
    world.Reconcile();
  }
  world.Reconcile();
  EXPECT_THAT(world.Removed(), IsEmpty());
  world.Reap();
  EXPECT_THAT(world.Names(), Not(Contains("demo-worker-0-1")));
  EXPECT_THAT(world.Names(), Contains("demo-worker-0-2"));
  EXPECT_THAT(world.Names(), Contains("demo-worker-0-3"));
}

TEST(DecideFailures, AfterAChangeOfLeadersWhatHeldStillHolds) {
  World world;
  world.Start();
  world.o.coordinator.reset();
  world.Reconcile();
  EXPECT_TRUE(world.status().Holds(kRunning));
  world.o.coordinator->settling = true;
  world.Reconcile();
  EXPECT_TRUE(world.status().Holds(kRunning));
  EXPECT_EQ(world.status().progress.round, 5);
  EXPECT_THAT(world.events, IsEmpty());
}

TEST(DecideFailures, EndsThatNoControllerSawAreCountedLater) {
  World world;
  world.Start();
  world.Exit(0, 6);
  // The pod after it was made, and the controller died before it could say so.
  PodView next = world.Pod(0);
  next.incarnation = 2;
  next.name = "demo-worker-0-2";
  next.uid = "other";
  next.phase = "Running";
  next.worker = PodView::Container::kRunning;
  world.o.pods.push_back(next);
  world.Reconcile();
  EXPECT_THAT(world.Created(), IsEmpty());
  EXPECT_EQ(world.status().Group("worker")->workers[0].failures, 1);
  EXPECT_EQ(world.status().restarts, 1);
}

TEST(DecideFailures, TheCoordinatorsVerdictIsTheJobs) {
  World world;
  world.Start();
  world.o.coordinator->end =
      JobEnd{JobOutcome::kFailed, ErrorCode::kUser, "worker worker-0 was lost: no such model"};
  world.Reconcile();
  EXPECT_EQ(world.Reason(kFailed), "UserError");
  EXPECT_THAT(world.Message(kFailed), HasSubstr("no such model"));
}

TEST(DecideFailures, ANameIsNotGivenTwiceThoughTheWriteThatRecordedItFailed) {
  World world(2);
  world.Reconcile();
  world.Vanish(0);
  world.status() = {};
  world.o.incarnations[{"worker", 0}] = 1;
  world.Reconcile();
  world.Pass(1);
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-0-2"));
}

TEST(DecideFailures, WhenAllWereToldToLeaveTheJobStartsAgain) {
  World world(2);
  world.Start();
  world.Exit(0, 7);
  world.Exit(1, 7);
  world.o.coordinator->end =
      JobEnd{JobOutcome::kStopped, ErrorCode::kInterrupted, "worker-1 was interrupted"};
  world.Reconcile();
  EXPECT_FALSE(world.o.coordinator) << "a coordinator ends once";
  EXPECT_THAT(world.Created(), IsEmpty()) << "they would join it";
  world.Reconcile();
  EXPECT_THAT(world.Created(), SizeIs(2));
  EXPECT_TRUE(world.o.coordinator);
  EXPECT_FALSE(world.status().finished());
}

}  // namespace
}  // namespace longstride
