// From nothing to training: pods, names, conditions, and starts that do not come about.
#include "tests/controller/reconcile/world.h"

namespace longstride {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(DecideStart, EveryWorkerGetsAPodNamedAfterItsPlaceAndIncarnation) {
  World world(2);
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-0-1", "demo-worker-1-1"));
  EXPECT_EQ(world.last.coordinator.hosting, CoordinatorOrders::Hosting::kHost);
  EXPECT_FALSE(world.last.network_policy.is_null());
  EXPECT_EQ(world.status().state, "Starting");
}

TEST(DecideStart, APolicyThatIsAppliedAlreadyIsAppliedAgainOnlyBeforePods) {
  World world(2);
  world.o.policy_applied = true;
  world.Reconcile();
  EXPECT_FALSE(world.last.network_policy.is_null());
  EXPECT_THAT(world.Created(), SizeIs(2));
  world.Reconcile();
  EXPECT_TRUE(world.last.network_policy.is_null());
  EXPECT_THAT(world.Created(), IsEmpty());
}

TEST(DecideStart, PodsThatWereMadeAreOnRecordAndToldOfOnce) {
  World world(2);
  world.Reconcile();
  EXPECT_EQ(world.status().Group("worker")->workers[1].incarnation, 1);
  world.Reconcile();
  EXPECT_THAT(world.events, ElementsAre("Created"));
  EXPECT_THAT(world.Created(), IsEmpty());
}

TEST(DecideStart, AJobIsRunningOnceItsCoordinatorHasMembers) {
  World world(2);
  world.Reconcile();
  world.Run(0);
  world.Run(1);
  world.Reconcile();
  EXPECT_FALSE(world.status().Holds(kRunning));
  EXPECT_EQ(world.status().ready_replicas, 2);
  world.TrainAll();
  world.Reconcile();
  EXPECT_TRUE(world.status().Holds(kRunning));
  EXPECT_TRUE(world.status().Holds(kProfiled));
  EXPECT_EQ(world.status().state, "Running");
  EXPECT_THAT(world.events, Contains("Started"));
}

TEST(DecideStart, WithoutAClaimCheckpointsAreNotDurable) {
  World world(2);
  world.Reconcile();
  EXPECT_FALSE(world.status().Holds(kCheckpointDurable));
  EXPECT_THAT(world.Message(kCheckpointDurable), HasSubstr("spec.checkpoint.storage"));
  world.spec().checkpoint.storage = CheckpointStorage{"claim", ""};
  world.Reconcile();
  EXPECT_TRUE(world.status().Holds(kCheckpointDurable));
}

TEST(DecideStart, WhatKeepsAPodFromStartingIsTheReason) {
  World world(2);
  world.Reconcile();
  world.Pod(0).unscheduled_reason = "Unschedulable";
  world.Pod(0).unscheduled_message = "0/2 nodes are available";
  world.Reconcile();
  EXPECT_EQ(world.Reason(kRunning), "Unschedulable");
  EXPECT_THAT(world.Message(kRunning), HasSubstr("0/2 nodes"));
  world.Pod(1).worker = PodView::Container::kWaiting;
  world.Pod(1).worker_reason = "ErrImagePull";
  world.Pod(1).worker_message = "no such image";
  world.Reconcile();
  EXPECT_EQ(world.Reason(kRunning), "ImagePullFailed");
  EXPECT_THAT(world.events, ElementsAre("Created", "Unschedulable", "ImagePullFailed"));
  world.Pod(1).worker_reason = "ImagePullBackOff";
  world.Pod(1).worker_message = "back-off";
  world.Reconcile();
  EXPECT_THAT(world.Message(kRunning), HasSubstr("no such image"));
  EXPECT_THAT(world.events, SizeIs(3));
}

// A pod is to be made, and the API server says no.
void Refuse(World& world, const CreateFailure& failure) {
  world.refuse = true;
  world.Reconcile();
  world.o.create_failure = failure;
  world.Reconcile();
}

TEST(DecideStart, AQuotaIsWaitedForAndNeverFailsTheJob) {
  World world(2);
  CreateFailure failure;
  failure.http_status = 403;
  failure.quota = true;
  failure.message = "exceeded quota: team, requested: pods=1";
  failure.pod = "demo-worker-0-1";
  failure.retry_at = world.o.now + 5;
  Refuse(world, failure);
  EXPECT_EQ(world.Reason(kRunning), "QuotaExceeded");
  EXPECT_THAT(world.Created(), IsEmpty());
  EXPECT_LE(world.last.requeue_at, failure.retry_at);
  world.Pass(5);
  world.Reconcile();
  EXPECT_THAT(world.Created(), SizeIs(2));
  EXPECT_FALSE(world.status().finished());
}

TEST(DecideStart, ATemplateThatTheServerRefusesFailsTheJobAndNamesTheField) {
  World world(2);
  CreateFailure failure;
  failure.http_status = 422;
  failure.template_fault = true;
  failure.field = "spec.containers[0].image";
  failure.message = "Required value";
  failure.place = {"worker", 0};
  Refuse(world, failure);
  EXPECT_TRUE(world.status().Holds(kFailed));
  EXPECT_EQ(world.Reason(kFailed), "InvalidPodTemplate");
  EXPECT_THAT(world.Message(kFailed),
              HasSubstr("spec.workers[0].template.spec.containers[0].image: Required value"));
}

TEST(DecideStart, WhatAdmissionDeniesIsTriedAgainWhateverItsStatus) {
  for (const int status : {400, 403, 409, 422}) {
    World world(2);
    CreateFailure failure;
    failure.http_status = status;
    failure.forbidden = true;
    failure.message = "ValidatingAdmissionPolicy 'gate' denied request: not on Fridays";
    failure.place = {"worker", 0};
    failure.retry_at = world.o.now + 5;
    Refuse(world, failure);
    EXPECT_EQ(world.Reason(kRunning), "PodForbidden") << status;
    EXPECT_THAT(world.Message(kRunning), HasSubstr("not on Fridays"));
    EXPECT_FALSE(world.status().finished()) << status;
    world.Pass(5);
    world.Reconcile();
    EXPECT_THAT(world.Created(), SizeIs(2)) << status;
  }
}

TEST(DecideStart, ATemplateWithAValueOfTheWrongTypeFailsTheJob) {
  World world(2);
  CreateFailure failure;
  failure.http_status = 400;
  failure.message = "cannot unmarshal string";
  failure.place = {"worker", 0};
  failure.retry_at = world.o.now + 5;
  Refuse(world, failure);
  EXPECT_EQ(world.Reason(kRunning), "CreateFailed");
  failure.template_fault = true;
  Refuse(world, failure);
  EXPECT_EQ(world.Reason(kFailed), "InvalidPodTemplate");
  EXPECT_EQ(world.Message(kFailed), "spec.workers[0].template: cannot unmarshal string");
}

TEST(DecideStart, APodOfSomebodyElseInTheWayIsANameConflict) {
  World world(2);
  world.refuse = true;
  CreateFailure failure;
  failure.http_status = 409;
  failure.pod = "demo-worker-0-1";
  failure.retry_at = world.o.now + 10;
  world.o.create_failure = failure;
  world.Reconcile();
  EXPECT_EQ(world.Reason(kRunning), "NameConflict");
  EXPECT_THAT(world.Message(kRunning), HasSubstr("demo-worker-0-1"));
}

TEST(DecideStart, APodWithOurLabelsThatIsNotOursIsLeftAlone) {
  World world(1);
  world.Reconcile();
  PodView other = world.Pod(0);
  other.uid = "other";
  other.ours = false;
  other.incarnation = 7;
  world.o.pods = {other};
  world.status() = {};
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-0-1"));
  EXPECT_THAT(world.Removed(), IsEmpty());
}

TEST(DecideStart, AnInvalidSpecFailsTheJobWithItsFaults) {
  World world;
  world.o.spec.reset();
  world.o.spec_faults = "spec.training: the job would never end";
  world.Reconcile();
  EXPECT_EQ(world.Reason(kFailed), "InvalidSpec");
  EXPECT_THAT(world.Message(kFailed), HasSubstr("spec.training"));
  EXPECT_THAT(world.last.create, IsEmpty());
}

TEST(DecideStart, JobsOfAnotherControllerAreLeftAlone) {
  World world;
  world.o.managed_by = "kueue.x-k8s.io/multikueue";
  world.Reconcile();
  EXPECT_FALSE(world.last.status);
  EXPECT_THAT(world.last.create, IsEmpty());
  world.o.managed_by = kControllerName;
  world.Reconcile();
  EXPECT_THAT(world.last.create, SizeIs(4));
}

TEST(DecideStart, AJobThatIsBeingDeletedGetsNothing) {
  World world;
  world.o.deleting = true;
  world.Reconcile();
  EXPECT_FALSE(world.last.status);
  EXPECT_THAT(world.last.create, IsEmpty());
  EXPECT_EQ(world.last.coordinator.hosting, CoordinatorOrders::Hosting::kRelease);
}

TEST(DecideStart, AJobThatCannotStartGivesUpItsPodsAndTriesAgainLater) {
  World world(4, 3);
  world.spec().run_policy.start_timeout_seconds = 100;
  world.Reconcile();
  world.Run(0);
  world.Run(1);
  world.Pod(2).unscheduled_reason = "Unschedulable";
  world.Pass(99);
  world.Reconcile();
  EXPECT_THAT(world.Removed(), IsEmpty());
  world.Pass(1);
  world.Reconcile();
  EXPECT_EQ(world.Reason(kRunning), "StartTimeout");
  EXPECT_EQ(world.status().state, "Waiting");
  EXPECT_THAT(world.Removed(), SizeIs(4));
  EXPECT_TRUE(world.last.status_first) << "not before it is on record why";
  const double retry = world.status().retry_time;
  EXPECT_GE(retry, world.o.now + 15);
  EXPECT_LE(retry, world.o.now + 45);

  world.Reap();
  world.Reconcile();
  EXPECT_THAT(world.Created(), IsEmpty());
  world.o.now = retry;
  world.Reconcile();
  EXPECT_THAT(world.Created(), Contains("demo-worker-0-2"));
  EXPECT_THAT(world.Created(), SizeIs(4));
  EXPECT_EQ(world.status().restarts, 0) << "pods that were given up do not count";
}

TEST(DecideStart, APodOnADeadNodeDoesNotHoldUpTheNextAttempt) {
  World world(4, 3);
  world.spec().run_policy.start_timeout_seconds = 10;
  world.Reconcile();
  world.Pass(10);
  world.Reconcile();
  EXPECT_EQ(world.Reason(kRunning), "StartTimeout");
  const std::string dead = world.Pod(0).uid;
  std::erase_if(world.o.pods, [&](const PodView& pod) { return pod.uid != dead; });
  world.o.now = std::max(world.status().retry_time, world.Pod(0).deleted);
  world.Reconcile();
  EXPECT_THAT(world.Created(), IsEmpty()) << "it may still be ending";
  world.Pass(5);
  world.Reconcile();
  EXPECT_THAT(world.Created(), SizeIs(4));
}

TEST(DecideStart, TwoJobsThatHoldHalfAGangEachDoNotRetryTogether) {
  const auto retry = [](const std::string& uid) {
    World world(4, 3);
    world.o.uid = uid;
    world.spec().run_policy.start_timeout_seconds = 10;
    world.Reconcile();
    world.Pass(10);
    world.Reconcile();
    return world.status().retry_time;
  };
  EXPECT_NE(retry("job-a"), retry("job-b"));
}

TEST(DecideStart, SurvivorsThatHoldTheOnlyStateAreNotGivenUp) {
  World world(4, 3);
  world.spec().run_policy.start_timeout_seconds = 100;
  world.Start();
  world.Exit(0, 137);
  world.Exit(1, 137);
  for (MemberView& member : world.o.coordinator->members) {
    if (member.state == MemberView::State::kMember) member.state = MemberView::State::kJoined;
  }
  world.Reconcile();
  EXPECT_EQ(world.Reason(kRunning), "WaitingForWorkers");
  world.Pass(1000);
  world.Reconcile();
  EXPECT_THAT(world.Removed(), IsEmpty());

  // A new leader does not know of them at its first looks.
  const CoordinatorView known = *world.o.coordinator;
  world.o.coordinator.reset();
  world.Reconcile();
  EXPECT_THAT(world.Removed(), IsEmpty());
  EXPECT_EQ(world.last.coordinator.hosting, CoordinatorOrders::Hosting::kHost);
  EXPECT_EQ(world.last.requeue_at, world.o.now + 1);
  EXPECT_THAT(world.Created(), IsEmpty()) << "for an attempt that may be given up";
  world.o.coordinator->settling = true;
  world.Reconcile();
  EXPECT_THAT(world.Removed(), IsEmpty());
  EXPECT_EQ(world.last.requeue_at, world.o.now + 1);
  world.o.coordinator = known;
  world.Reconcile();
  EXPECT_THAT(world.Removed(), IsEmpty());
}

}  // namespace
}  // namespace longstride
