// Changing spec.replicas while the job trains.
#include "tests/controller/reconcile/world.h"

namespace longstride {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(DecideScale, MoreWorkersAreMadeAndTheCoordinatorIsToldToWantThem) {
  World world(2);
  world.Start();
  world.spec().replicas = 4;
  world.Reconcile();
  EXPECT_EQ(world.last.coordinator.replicas, 4);
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-2-1", "demo-worker-3-1"));
  EXPECT_EQ(world.status().replicas, 4);
  EXPECT_THAT(world.Removed(), IsEmpty());
  world.Reconcile();
  EXPECT_FALSE(world.last.coordinator.replicas);
}

TEST(DecideScale, AWorkerTooManyKeepsItsPodUntilItHasLeft) {
  World world(3);
  world.Start();
  world.spec().replicas = 2;
  world.Reconcile();
  EXPECT_THAT(world.Removed(), IsEmpty());
  world.Exit(2, 0);
  world.Reconcile();
  EXPECT_THAT(world.Removed(), ElementsAre("demo-worker-2-1"));
  EXPECT_FALSE(world.status().finished()) << "its exit code 0 is not the job's end";
  world.Reap();
  world.Reconcile();
  EXPECT_EQ(world.status().restarts, 0);
  EXPECT_EQ(world.status().replicas, 2);
}

TEST(DecideScale, OneThatNeverJoinedGoesAtOnce) {
  World world(2);
  world.Start();
  world.spec().replicas = 3;
  world.Reconcile();
  world.Reconcile();
  world.spec().replicas = 2;
  world.Reconcile();
  EXPECT_THAT(world.Removed(), ElementsAre("demo-worker-2-1"));
}

TEST(DecideScale, AnotherLeaderLooksAgainOnceItHostsTheCoordinator) {
  World world(3);
  world.Reconcile();
  world.spec().replicas = 2;
  world.o.coordinator.reset();
  world.Reconcile();
  EXPECT_TRUE(world.Removed().empty()) << "it may train";
  EXPECT_EQ(world.last.requeue_at, world.o.now + 1);
  world.Pass(1);
  world.Reconcile();
  EXPECT_THAT(world.Removed(), ElementsAre("demo-worker-2-1"));
}

TEST(DecideScale, ThePlaceComesBackUnderTheNextName) {
  World world(3);
  world.Start();
  world.spec().replicas = 2;
  world.Reconcile();
  world.Exit(2, 0);
  world.Reconcile();
  world.Reap();
  world.Reconcile();
  world.spec().replicas = 3;
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-2-2"));
}

TEST(DecideScale, AWorkerLetGoAndWantedAgainBeforeAnybodyLookedIsReplaced) {
  World world(3);
  world.Start();
  world.Exit(2, 0);
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-worker-2-2"));
}

TEST(DecideScale, GroupsAreDealtReplicasByTheDocumentedRule) {
  World world(3);
  WorkerGroup fast, slow;
  fast.name = "fast";
  fast.max_replicas = 1;
  slow.name = "slow";
  world.spec().workers = {fast, slow};
  world.Reconcile();
  EXPECT_THAT(world.Created(), ElementsAre("demo-fast-0-1", "demo-slow-0-1", "demo-slow-1-1"));
}

}  // namespace
}  // namespace longstride
