// What people change of runPolicy while a job runs, or after its end, holds from the next look.
#include "tests/controller/reconcile/world.h"

namespace longstride {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

// The next look sees the spec as it was edited.
void Edit(World& world, void (*change)(RunPolicy&)) {
  change(world.spec().run_policy);
  ++world.o.generation;
  world.Reconcile();
}

TEST(DecideRunPolicy, AnEditStopsNoWorkers) {
  World world;
  world.Start();
  Edit(world, [](RunPolicy& policy) {
    policy.backoff_limit = 3;
    policy.backoff_limit_per_worker = 2;
    policy.active_deadline_seconds = 1000;
    policy.start_timeout_seconds = 30;
    policy.suspend_grace_seconds = 40;
    policy.ttl_seconds_after_finished = 50;
    policy.clean_pod_policy = CleanPodPolicy::kAll;
  });
  EXPECT_EQ(world.status().state, "Running");
  EXPECT_THAT(world.events, IsEmpty());
  EXPECT_THAT(world.Removed(), IsEmpty());
}

TEST(DecideRunPolicy, ARaisedBackoffLimitLetsTheJobGoOn) {
  World world;
  world.spec().run_policy.backoff_limit = 0;
  world.spec().run_policy.backoff_limit_per_worker = 1;
  world.Start();
  Edit(world, [](RunPolicy& policy) { policy.backoff_limit = 1; });
  world.Exit(0, 6);
  world.Reconcile();
  EXPECT_FALSE(world.status().finished());
  Edit(world, [](RunPolicy& policy) { policy.backoff_limit = 0; });
  EXPECT_EQ(world.Reason(kFailed), "BackoffLimitExceeded");
}

TEST(DecideRunPolicy, SoDoesARaisedLimitOfEachWorker) {
  World world;
  world.spec().run_policy.backoff_limit_per_worker = 1;
  world.Start();
  world.Exit(1, 6);
  world.Reconcile();
  world.Pass(5);
  Edit(world, [](RunPolicy& policy) { policy.backoff_limit_per_worker = 2; });
  world.Exit(1, 6);
  world.Reconcile();
  EXPECT_FALSE(world.status().finished());
  Edit(world, [](RunPolicy& policy) { policy.backoff_limit_per_worker = 1; });
  EXPECT_EQ(world.Reason(kFailed), "BackoffLimitExceeded");
}

TEST(DecideRunPolicy, ADeadlineCountsFromTheStartWheneverItIsGiven) {
  World world;
  world.Start();
  world.Pass(100);
  Edit(world, [](RunPolicy& policy) { policy.active_deadline_seconds = 200; });
  EXPECT_EQ(world.last.requeue_at, world.status().start_time + 200);
  Edit(world, [](RunPolicy& policy) { policy.active_deadline_seconds = 300; });
  world.Pass(150);
  world.Reconcile();
  EXPECT_FALSE(world.status().finished());
  Edit(world, [](RunPolicy& policy) { policy.active_deadline_seconds = 200; });
  EXPECT_EQ(world.Reason(kFailed), "DeadlineExceeded");
}

TEST(DecideRunPolicy, AStartThatIsWaitedForMayBeGivenAnotherTime) {
  World world(4, 3);
  world.spec().run_policy.start_timeout_seconds = 100;
  world.Reconcile();
  Edit(world, [](RunPolicy& policy) { policy.start_timeout_seconds = 1000; });
  world.Pass(200);
  world.Reconcile();
  EXPECT_EQ(world.Reason(kRunning), "Starting");
  Edit(world, [](RunPolicy& policy) { policy.start_timeout_seconds = 100; });
  EXPECT_EQ(world.Reason(kRunning), "StartTimeout");
}

TEST(DecideRunPolicy, AfterTheEndWhatIsCleanedUpAndWhenMayStillChange) {
  World world(2);
  world.Start();
  world.Exit(0, 2);
  world.Exit(1, 7);
  world.Reconcile();
  ASSERT_TRUE(world.status().Holds(kFailed));
  EXPECT_THAT(world.Removed(), IsEmpty());
  Edit(world, [](RunPolicy& policy) {
    policy.clean_pod_policy = CleanPodPolicy::kAll;
    policy.ttl_seconds_after_finished = 60;
  });
  EXPECT_THAT(world.Removed(), SizeIs(2));
  EXPECT_EQ(world.last.requeue_at, world.status().completion_time + 60);
  EXPECT_FALSE(world.last.delete_job);
  world.Pass(30);
  Edit(world, [](RunPolicy& policy) { policy.ttl_seconds_after_finished = -1; });
  EXPECT_EQ(world.last.requeue_at, 0);
  Edit(world, [](RunPolicy& policy) { policy.ttl_seconds_after_finished = 20; });
  EXPECT_TRUE(world.last.delete_job);
}

TEST(DecideRunPolicy, AJobThatHasFailedStaysSo) {
  World world;
  world.spec().run_policy.backoff_limit = 0;
  world.Start();
  world.Exit(0, 6);
  world.Reconcile();
  ASSERT_EQ(world.Reason(kFailed), "BackoffLimitExceeded");
  Edit(world, [](RunPolicy& policy) { policy.backoff_limit = 9; });
  EXPECT_TRUE(world.status().Holds(kFailed));
  EXPECT_THAT(world.Created(), IsEmpty());
}

}  // namespace
}  // namespace longstride
