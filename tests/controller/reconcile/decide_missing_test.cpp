// Workers that a fault keeps from the others, which train: what the conditions say, and that an
// event tells of it once.
#include "tests/controller/reconcile/world.h"

namespace longstride {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kOverQuota = "2 workers train; QuotaExceeded: exceeded quota: team";

CreateFailure OverQuota(double retry_at) {
  CreateFailure failure;
  failure.http_status = 403;
  failure.quota = true;
  failure.message = "exceeded quota: team";
  failure.retry_at = retry_at;
  return failure;
}

// Two workers train, and the two that were added to them are refused.
World ScaledBeyondTheQuota() {
  World world(2);
  world.Start();
  world.spec().replicas = 4;
  world.refuse = true;
  world.Reconcile();
  world.o.create_failure = OverQuota(world.o.now + 5);
  world.Reconcile();
  return world;
}

TEST(DecideMissing, ARefusedPodIsSaidInRunningAndToldOfOnce) {
  World world = ScaledBeyondTheQuota();
  EXPECT_TRUE(world.status().Holds(kRunning));
  EXPECT_EQ(world.Reason(kRunning), "Training");
  EXPECT_EQ(world.Message(kRunning), kOverQuota);
  EXPECT_EQ(world.status().state, "Running");
  for (int i = 0; i < 3; ++i) {
    world.Pass(5);
    world.Reconcile();
  }
  EXPECT_EQ(world.Message(kRunning), kOverQuota);
  EXPECT_THAT(world.events, ElementsAre("Scaled", "QuotaExceeded"));
}

TEST(DecideMissing, ANewLeaderDoesNotRepeatIt) {
  World world = ScaledBeyondTheQuota();
  world.status() = StatusFromJson(ToJson(world.status()));
  world.o.coordinator.reset();
  world.o.create_failure.reset();
  world.events.clear();
  world.Reconcile();
  world.o.create_failure = OverQuota(world.o.now + 2);
  world.o.coordinator->settling = true;
  world.Reconcile();
  EXPECT_EQ(world.Message(kRunning), kOverQuota);
  world.o.coordinator->settling = false;
  world.TrainAll();
  world.Reconcile();
  EXPECT_EQ(world.Message(kRunning), kOverQuota);
  EXPECT_THAT(world.events, IsEmpty());
}

TEST(DecideMissing, NorDoesItRepeatWhatKeepsAllFromStarting) {
  World world(2);
  world.refuse = true;
  world.Reconcile();
  world.o.create_failure = OverQuota(world.o.now + 5);
  world.Reconcile();
  EXPECT_THAT(world.events, ElementsAre("QuotaExceeded"));
  world.o.coordinator.reset();
  world.o.create_failure.reset();
  world.Reconcile();
  EXPECT_EQ(world.Reason(kRunning), "QuotaExceeded") << "it has asked for no pod yet";
  world.o.create_failure = OverQuota(world.o.now + 2);
  world.Reconcile();
  EXPECT_THAT(world.events, ElementsAre("QuotaExceeded"));
  world.refuse = false;
  world.Pass(2);
  world.Reconcile();
  world.o.create_failure.reset();
  world.Reconcile();
  EXPECT_EQ(world.Reason(kRunning), "Starting");
}

TEST(DecideMissing, WhatIsOverIsSaidNoMore) {
  World world = ScaledBeyondTheQuota();
  world.refuse = false;
  world.Pass(5);
  world.Reconcile();
  world.o.create_failure.reset();
  world.Reconcile();
  EXPECT_EQ(world.Message(kRunning), "2 workers train");
  world.TrainAll();
  world.Reconcile();
  EXPECT_EQ(world.Message(kRunning), "4 workers train");
}

TEST(DecideMissing, ARefusedReplacementIsSaidInRestarting) {
  World world(3);
  world.Start();
  world.Exit(2, 7);
  world.refuse = true;
  world.Reconcile();
  CreateFailure failure;
  failure.http_status = 403;
  failure.forbidden = true;
  failure.message = "violates PodSecurity";
  failure.retry_at = world.o.now + 5;
  world.o.create_failure = failure;
  world.Reconcile();
  world.Reconcile();
  EXPECT_EQ(world.Message(kRestarting),
            "started anew: worker-2; PodForbidden: violates PodSecurity");
  EXPECT_EQ(world.Message(kRunning), "2 workers train");
  EXPECT_THAT(world.events, ElementsAre("WorkerEnded", "PodForbidden"));
  world.refuse = false;
  world.o.create_failure.reset();
  world.Reconcile();
  EXPECT_EQ(world.Message(kRestarting), "started anew: worker-2");
}

TEST(DecideMissing, AFaultThatGoesFromOneConditionToTheOtherIsNoNews) {
  World world = ScaledBeyondTheQuota();
  world.Exit(1, 7);
  world.Reconcile();
  EXPECT_EQ(world.Message(kRunning), "1 workers train");
  EXPECT_EQ(world.Message(kRestarting),
            "started anew: worker-1; QuotaExceeded: exceeded quota: team");
  world.Exit(0, 7);
  world.Reconcile();
  EXPECT_FALSE(world.status().Holds(kRunning));
  EXPECT_EQ(world.Reason(kRunning), "QuotaExceeded");
  EXPECT_EQ(std::ranges::count(world.events, "QuotaExceeded"), 1);
}

TEST(DecideMissing, EachOtherFaultIsToldOf) {
  World world(2);
  world.Start();
  world.spec().replicas = 3;
  world.Reconcile();
  EXPECT_EQ(world.Message(kRunning), "2 workers train") << "it starts";
  world.events.clear();
  world.Pod(2).unscheduled_reason = "Unschedulable";
  world.Pod(2).unscheduled_message = "0/2 nodes are available";
  world.Reconcile();
  EXPECT_EQ(world.Message(kRunning),
            "2 workers train; Unschedulable: pod demo-worker-2-1: 0/2 nodes are available");
  world.Pod(2).unscheduled_reason.clear();
  world.Pod(2).worker = PodView::Container::kWaiting;
  for (const char* reason : {"ErrImagePull", "ImagePullBackOff"}) {
    world.Pod(2).worker_reason = reason;
    world.Pod(2).worker_message = reason;
    world.Reconcile();
    EXPECT_EQ(world.Message(kRunning),
              "2 workers train; ImagePullFailed: pod demo-worker-2-1: ErrImagePull")
        << "what was said first says more";
  }
  world.Run(2);
  world.Reconcile();
  EXPECT_EQ(world.Message(kRunning), "2 workers train");
  EXPECT_THAT(world.events, ElementsAre("Unschedulable", "ImagePullFailed"));
}

TEST(DecideMissing, AFaultThatTheOthersDidNotWaitForIsNotToldOfAgain) {
  World world(3, 2);
  world.Reconcile();
  world.Pod(2).unscheduled_reason = "Unschedulable";
  world.Pod(2).unscheduled_message = "0/2 nodes are available";
  world.Reconcile();
  EXPECT_EQ(world.Reason(kRunning), "Unschedulable");
  for (const int64_t index : {0, 1}) {
    world.Run(index);
    world.o.coordinator->members.push_back(
        {world.Pod(index).place, world.Pod(index).uid, MemberView::State::kMember, ""});
  }
  world.o.coordinator->generation = 1;
  world.Reconcile();
  EXPECT_EQ(world.Message(kRunning),
            "2 workers train; Unschedulable: pod demo-worker-2-1: 0/2 nodes are available");
  EXPECT_THAT(world.events, ElementsAre("Created", "Unschedulable", "Started"));
}

}  // namespace
}  // namespace longstride
