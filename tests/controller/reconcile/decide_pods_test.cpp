// Containers that do not start, pods that nodes reject or evict, sidecars that run on, and what
// pods are told while they run.
#include "tests/controller/reconcile/world.h"

namespace longstride {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(DecidePods, AContainerThatCannotBeStartedOnOneNodeIsTriedAgain) {
  for (const char* reason : {"StartError", "ContainerCannotRun"}) {
    World world;
    world.Start();
    world.Exit(1, 128, reason);
    world.Pod(1).worker_message = "error running hook: nvidia-container-cli: no device";
    world.Reconcile();
    EXPECT_FALSE(world.status().finished());
    EXPECT_EQ(world.status().last_failure->reason, reason);
    EXPECT_THAT(world.status().last_failure->message, HasSubstr("image, command and node: error"));
    EXPECT_EQ(world.status().groups[0].workers[1].failures, 1);
    EXPECT_THAT(world.Created(), IsEmpty());
    world.Pass(1);
    world.Reconcile();
    EXPECT_THAT(world.Created(), ElementsAre("demo-worker-1-2"));
  }
}

TEST(DecidePods, AnInitContainerThatCannotPullItsImageIsNamed) {
  World world(2);
  world.Reconcile();
  world.Pod(1).worker = PodView::Container::kWaiting;
  world.Pod(1).worker_reason = "ErrImagePull";
  world.Pod(1).worker_message = "init container fetch: no such image";
  world.Reconcile();
  EXPECT_EQ(world.Reason(kRunning), "ImagePullFailed");
  EXPECT_EQ(world.Message(kRunning), "pod demo-worker-1-1: init container fetch: no such image");
}

TEST(DecidePods, AnInitContainerThatFailsItsPodIsNamedAndCounts) {
  World world(2);
  world.Reconcile();
  world.Pod(1).phase = "Failed";
  world.Pod(1).worker = PodView::Container::kWaiting;
  world.Pod(1).pod_message = "init container fetch: exit code 3: no route to host";
  world.Reconcile();
  EXPECT_EQ(world.status().last_failure->reason, "PodFailed");
  EXPECT_EQ(world.status().last_failure->message,
            "init container fetch: exit code 3: no route to host");
  EXPECT_EQ(world.status().groups[0].workers[1].failures, 1);
}

TEST(DecidePods, WhatANodeRejectsCountsUnderTheNodesReason) {
  World world;
  world.Start();
  world.Pod(1).phase = "Failed";
  world.Pod(1).worker = PodView::Container::kNone;
  world.Pod(1).pod_reason = "UnexpectedAdmissionError";
  world.Pod(1).pod_message = "Allocate failed due to no healthy devices present";
  world.Reconcile();
  EXPECT_EQ(world.status().last_failure->reason, "UnexpectedAdmissionError");
  EXPECT_THAT(world.status().last_failure->message, HasSubstr("no healthy devices"));
  EXPECT_EQ(world.status().groups[0].workers[1].failures, 1);
}

TEST(DecidePods, ADeadWorkersPodGoesWhereASidecarWouldKeepItsResources) {
  World world;
  world.Start();
  world.Exit(1, 137);
  world.Pod(1).phase = "Running";
  world.Pod(1).others_run = true;
  world.Reconcile();
  EXPECT_THAT(world.Removed(), ElementsAre("demo-worker-1-1"));
  world.Pass(1);
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-1-2"));
}

TEST(DecidePods, AnEvictedPodWithoutAContainerStateHasEnded) {
  World world;
  world.Start();
  world.Pod(0).phase = "Failed";
  world.Pod(0).pod_reason = "Evicted";
  world.Pod(0).disrupted = true;
  world.Reconcile();
  EXPECT_EQ(world.status().last_failure->reason, "Evicted");
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-0-2"));
}

TEST(DecidePods, TheKubeletsWordsOnADisruptedPodArePassedOn) {
  World world;
  world.Start();
  world.Exit(0, 7);
  world.Pod(0).pod_reason = "Evicted";
  world.Pod(0).pod_message = "The node was low on resource: memory.";
  world.Pod(0).disrupted = true;
  world.Reconcile();
  EXPECT_EQ(world.status().last_failure->reason, "Evicted");
  EXPECT_THAT(world.status().last_failure->message, HasSubstr("low on resource: memory"));
  EXPECT_EQ(world.status().groups[0].workers[0].failures, 0);
}

TEST(DecidePods, APodThatUsesTooMuchStorageCountsHoweverItsWorkerEnds) {
  for (const int64_t code : {7, 137}) {  // within its last second, or not
    World world;
    world.spec().run_policy.backoff_limit = 1;
    world.Start();
    for (int i = 0; i < 2; ++i) {
      world.Exit(0, code);
      world.Pod(0).pod_reason = "Evicted";
      world.Pod(0).pod_message = "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Mi\".";
      world.Reconcile();
      EXPECT_THAT(world.Created(), IsEmpty()) << "not at once";
      EXPECT_EQ(world.status().groups[0].workers[0].failures, i + 1);
      EXPECT_EQ(world.status().last_failure->reason, "Evicted");
      EXPECT_THAT(world.status().last_failure->message, HasSubstr("scratch"));
      EXPECT_EQ(world.status().last_failure->exit_code, code);
      world.Pass(1);
      world.Reconcile();
    }
    EXPECT_EQ(world.Reason(kFailed), "BackoffLimitExceeded");
    EXPECT_THAT(world.Message(kFailed), HasSubstr("Evicted"));
  }
}

TEST(DecidePods, AnEvictionDoesNotHideAFailureThatWouldRecur) {
  World world;
  world.Start();
  world.Exit(0, 3);
  world.Pod(0).pod_reason = "Evicted";
  world.Reconcile();
  EXPECT_EQ(world.Reason(kFailed), "DataError");
}

// The operator was installed anew, or its authority is about to be replaced.
TEST(DecidePods, ThoseThatMayStillWorkAreGivenWhatIsToBeTrustedNow) {
  World world(3);
  world.Start();
  EXPECT_THAT(world.last.patch, IsEmpty());
  world.Exit(0, 0);
  world.Pod(1).ours = false;
  world.o.defaults.ca_bundle = "NEWER PEM";
  world.Reconcile();
  ASSERT_THAT(world.last.patch, SizeIs(1));
  EXPECT_EQ(world.last.patch[0].name, "demo-worker-2-1");
  EXPECT_EQ(world.last.patch[0].patch, nlohmann::json::parse(R"({
    "metadata": {"annotations": {"longstride.dev/ca-bundle": "NEWER PEM"}}})"));
}

TEST(DecidePods, ThoseOfASuspendedOrFailedJobAreGivenItToo) {
  for (const bool suspend : {true, false}) {
    World world(2);
    world.Start();
    world.spec().run_policy.suspend = suspend;
    if (!suspend) world.spec().run_policy.active_deadline_seconds = 1;
    world.Pass(1);
    world.o.defaults.ca_bundle = "NEWER PEM";
    world.Reconcile();
    EXPECT_THAT(world.last.patch, SizeIs(2)) << "they still have to write their checkpoint";
  }
}

TEST(DecidePods, OneWhoseAnnotationSomebodyTookAwayIsGivenItAgain) {
  World world(2);
  world.Start();
  world.Pod(1).ca_bundle.clear();
  world.Reconcile();
  EXPECT_THAT(world.last.patch, SizeIs(1));
}

}  // namespace
}  // namespace longstride
