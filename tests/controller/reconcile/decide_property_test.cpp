// Seeded histories of pods that start, end, vanish, are drained or deleted, of scaling, suspending,
// failovers and refused creations. Whatever happens: no pod is made twice for one incarnation,
// there are never more than replicas at work, finished jobs make nothing, and deciding twice is
// deciding once.
#include "core/base/random.h"
#include "tests/controller/reconcile/world.h"

namespace longstride {
namespace {

class History {
 public:
  explicit History(uint64_t seed) : random_(seed), world_(4, 2) {
    TrainingJobSpec& spec = world_.spec();
    spec.run_policy.backoff_limit = static_cast<int64_t>(Below(2) == 0 ? 1000 : 5);
    spec.run_policy.start_timeout_seconds = 30;
    if (Below(2) == 0) spec.run_policy.active_deadline_seconds = 2000;
    if (Below(2) == 0) spec.checkpoint.storage = CheckpointStorage{"claim", ""};
  }

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) {
      Happen();
      world_.Pass(static_cast<double>(Below(5)));
      const bool finished = world_.status().finished();
      const int64_t bound = world_.spec().replicas;
      world_.Reconcile();
      Refuse();
      Check(finished, bound);
      if (::testing::Test::HasFailure()) return;
    }
  }

  [[nodiscard]] const JobStatus& status() { return world_.status(); }

 private:
  uint64_t Below(uint64_t n) { return random_.NextBelow(n); }

  // What the API server said against a pod is known until it says nothing more.
  void Refuse() {
    if (!world_.refuse) world_.o.create_failure.reset();
    if (!world_.refuse || world_.last.create.empty()) return;
    CreateFailure& failure = world_.o.create_failure.emplace();
    failure.http_status = 403;
    failure.quota = true;
    failure.message = "exceeded quota: team";
    failure.retry_at = world_.o.now;
  }

  void Check(bool was_finished, int64_t bound) {
    for (const PodToCreate& pod : world_.last.create) {
      EXPECT_FALSE(was_finished) << pod.name;
      if (!world_.refuse) {
        EXPECT_TRUE(names_.insert(pod.name).second) << pod.name << " twice";
      }
    }
    std::map<int64_t, int> at_work;
    for (const PodView& pod : world_.o.pods) {
      if (!pod.terminal() && pod.deleted == 0) ++at_work[pod.place.index];
    }
    int64_t wanted = 0;
    for (const auto& [index, count] : at_work) {
      EXPECT_LE(count, 1) << "worker " << index;
      if (index < bound) ++wanted;
    }
    EXPECT_LE(wanted, bound);
    if (was_finished) {
      EXPECT_TRUE(world_.last.create.empty());
    }
    // What was decided has been done; the same look again finds nothing to do, but for what it
    // learns from its own deeds: the pods that it made.
    const Desired second = Decide(world_.o);
    const Desired again = Decide(Applied(second));
    EXPECT_EQ(*again.status, *second.status);
    EXPECT_TRUE(world_.refuse || second.create.empty());
    for (const EventToWrite& event : again.events) EXPECT_EQ(event.reason, "Scaled");
  }
  [[nodiscard]] Observed Applied(const Desired& desired) const {
    Observed next = world_.o;
    next.status = *desired.status;
    return next;
  }

  void Happen() {
    world_.refuse = Below(10) == 0;
    const auto index = static_cast<int64_t>(Below(4));
    PodView* pod = nullptr;
    for (PodView& each : world_.o.pods) {
      if (each.place.index == index && (!pod || each.incarnation > pod->incarnation)) pod = &each;
    }
    switch (Below(14)) {
      case 0:
      case 1:
      case 2:
        if (world_.o.coordinator && !world_.o.coordinator->end) world_.TrainAll();
        break;
      case 3:
        if (pod && !pod->terminal()) world_.Exit(index, kExits[Below(std::size(kExits))]);
        break;
      case 4:
        if (pod) world_.Vanish(index);
        break;
      case 5:
        if (pod) pod->disrupted = true;
        if (pod && pod->deleted == 0) pod->deleted = world_.o.now + 30;
        break;
      case 6:
        world_.Reap();
        break;
      case 7:
        if (!world_.status().finished() && Below(4) == 0) {
          world_.spec().run_policy.suspend = !world_.spec().run_policy.suspend;
          ++world_.o.generation;
        }
        break;
      case 8:
        world_.spec().replicas = 2 + static_cast<int64_t>(Below(3));
        ++world_.o.generation;
        break;
      case 9:
        world_.o.coordinator.reset();
        break;
      case 10:
        if (MemberView* member = world_.Member(index)) member->state = MemberView::State::kLost;
        break;
      case 11:
        if (world_.o.coordinator && world_.o.coordinator->training() > 0) world_.Commit(++round_);
        break;
      case 12:
        if (world_.o.coordinator && Below(20) == 0) {
          world_.o.coordinator->end =
              JobEnd{JobOutcome::kCompleted, ErrorCode::kInterrupted, "done"};
        }
        break;
      default:
        world_.Pass(static_cast<double>(Below(100)));
    }
  }

  static constexpr int64_t kExits[] = {5, 6, 7, 137, 143, 6, 5};
  SeededRandom random_;
  World world_;
  std::set<std::string> names_;
  int64_t round_ = 0;
};

TEST(DecideProperty, WhateverHappens) {
  int finished = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed);
    history.Run(150);
    if (HasFailure()) return;
    if (history.status().finished()) ++finished;
  }
  EXPECT_GT(finished, 5);
  EXPECT_LT(finished, 95);
}

}  // namespace
}  // namespace longstride
