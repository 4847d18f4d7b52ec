// A coordinator and N simulated workers under seeded interleavings, duplicates, delays and losses.
// Whatever happens: ranks are distinct, a committed round belongs to one generation and all
// members, the ledger law holds, and every run ends with a reason.
#include <gmock/gmock.h>

#include <deque>
#include <set>

#include "controller/coordinator/coordinator.h"
#include "core/base/random.h"
#include "tests/controller/coordinator/samples.h"

namespace longstride {
namespace {

struct SimulatedWorker {
  JoinRequest join;
  bool joined = false;
  bool alive = true;
  bool gone = false;  // left, in its own eyes
  std::optional<Generation> generation;
  int64_t round = 0;               // trained
  std::deque<RoundReport> outbox;  // reports not acknowledged
};

class Simulation {
 public:
  Simulation(uint64_t seed, bool with_losses)
      : random_(seed),
        with_losses_(with_losses),
        size_(1 + static_cast<int64_t>(random_.NextBelow(6))) {
    CoordinatorOptions options;
    options.job = MakeJob(size_);
    coordinator_ = std::make_unique<Coordinator>(options, clock_.Now());
    rounds_ = 1 + static_cast<int64_t>(random_.NextBelow(8));
    for (int64_t i = 0; i < size_; ++i) workers_.emplace_back().join = MakeJoin(i);
  }

  void Run() {
    for (int step = 0; step < 20000 && !coordinator_->end(); ++step) {
      Step(workers_[random_.NextBelow(workers_.size())]);
      if (random_.NextBelow(4) == 0) {
        clock_.Advance(std::chrono::milliseconds(random_.NextBelow(100)));
        for (SimulatedWorker& w : workers_) {  // the heartbeat threads are not held up by training
          if (w.alive && w.joined && !w.gone) Beat(w);
        }
        coordinator_->Tick(clock_.Now());
      }
      Check();
    }
    ASSERT_TRUE(coordinator_->end().has_value());
    Check();
  }

  [[nodiscard]] const JobEnd& end() const { return *coordinator_->end(); }
  [[nodiscard]] int64_t committed() const { return committed_; }
  [[nodiscard]] int64_t rounds() const { return rounds_; }
  [[nodiscard]] bool lost_any() const { return lost_any_; }

 private:
  void Step(SimulatedWorker& w) {
    if (!w.alive || w.gone) return;
    if (with_losses_ && random_.NextBelow(400) == 0) return Kill(w);
    if (!w.joined) {
      w.joined = coordinator_->Join(w.join, clock_.Now()).ok();
      return;
    }
    if (!w.generation) {
      const auto reply = coordinator_->PollGeneration({w.join.worker, {}, 1});
      if (reply && reply->generation) w.generation = reply->generation;
      return;
    }
    // Lockstep: nobody is more than a round ahead of another.
    int64_t slowest = rounds_;
    for (const SimulatedWorker& other : workers_) slowest = std::min(slowest, other.round);
    if (w.round < rounds_ && w.round <= slowest && random_.NextBelow(2) == 0) {
      ++w.round;
      w.outbox.push_back(MakeReport(w.generation->id, w.round, w.generation->rank, size_));
    } else if (!w.outbox.empty()) {
      ASSERT_TRUE(coordinator_->Report({w.join.worker, w.outbox.front()}, clock_.Now()).ok());
      if (random_.NextBelow(4) > 0)
        w.outbox.pop_front();  // else the answer was lost: it comes again
    } else if (w.round == rounds_) {
      w.gone = true;
      ASSERT_TRUE(
          coordinator_
              ->Leave({w.join.worker, w.generation->id, w.round, 0, "completed"}, clock_.Now())
              .ok());
    }
  }

  void Kill(SimulatedWorker& w) {
    w.alive = false;
    lost_any_ = true;
    if (random_.NextBelow(2) == 0 || !w.joined) {
      coordinator_->WorkerExited(w.join.worker.group, w.join.worker.index, 137,
                                 "was killed by signal 9", clock_.Now());
    }
  }

  void Beat(SimulatedWorker& w) {
    const GenerationId id = w.generation ? w.generation->id : GenerationId{};
    coordinator_->Heartbeat({w.join.worker, id, w.round}, clock_.Now());
  }

  void Check() {
    std::set<int64_t> ranks;
    for (const SimulatedWorker& w : workers_) {
      EXPECT_TRUE(!w.generation || ranks.insert(w.generation->rank).second);
    }
    for (const Event& event : coordinator_->DrainEvents()) {
      const auto* round = std::get_if<RoundCommittedEvent>(&event.data);
      if (!round) continue;
      EXPECT_EQ(round->record.common().round, ++committed_);
      ASSERT_EQ(static_cast<int64_t>(round->record.reports.size()), size_);
      for (int64_t r = 0; r < size_; ++r) {
        EXPECT_EQ(round->record.reports[r].rank, r);
        EXPECT_EQ(round->record.reports[r].generation, round->record.common().generation);
      }
    }
    const RoundLedger& ledger = coordinator_->ledger();
    EXPECT_EQ(ledger.samples() + ledger.discarded(), ledger.cursor());
    EXPECT_EQ(ledger.round(), committed_);
  }

  SeededRandom random_;
  const bool with_losses_;
  const int64_t size_;
  int64_t rounds_ = 0;
  int64_t committed_ = 0;
  bool lost_any_ = false;
  ManualClock clock_;
  std::unique_ptr<Coordinator> coordinator_;
  std::vector<SimulatedWorker> workers_;
};

TEST(CoordinatorSimulation, WithoutLossesEveryRoundIsCommittedAndTheJobCompletes) {
  for (uint64_t seed = 1; seed <= 500 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Simulation simulation(seed, false);
    simulation.Run();
    if (::testing::Test::HasFatalFailure()) return;
    EXPECT_EQ(simulation.end().outcome, JobOutcome::kCompleted) << simulation.end().reason;
    EXPECT_EQ(simulation.committed(), simulation.rounds());
  }
}

TEST(CoordinatorSimulation, ALossEndsTheJobNamingTheWorker) {
  int lost = 0;
  for (uint64_t seed = 1; seed <= 1000 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Simulation simulation(seed, true);
    simulation.Run();
    if (::testing::Test::HasFatalFailure()) return;
    if (!simulation.lost_any()) {
      EXPECT_EQ(simulation.end().outcome, JobOutcome::kCompleted);
      continue;
    }
    ++lost;
    EXPECT_EQ(simulation.end().outcome, JobOutcome::kFailed);
    EXPECT_THAT(simulation.end().reason, ::testing::HasSubstr("worker worker-"));
  }
  EXPECT_GT(lost, 100);
}

}  // namespace
}  // namespace longstride
