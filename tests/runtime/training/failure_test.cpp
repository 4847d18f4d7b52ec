// What a lost peer, a not-a-number and diverged replicas do to a round.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "cluster.h"
#include "core/schedule/ledger.h"
#include "runtime/training/training_state.h"

namespace longstride::testing {
namespace {

TrainingJob MomentumJob() {
  TrainingJob job = SmallJob();
  job.spec.training.optimizer.momentum = 0.9;
  job.spec.training.local_steps.steps = 4;
  job.spec.training.batch.policy = BatchPolicy::kAdaptive;
  job.spec.training.max_samples = 4000;
  return job;
}

TrainingJob FixedJob() {
  TrainingJob job = MomentumJob();
  job.spec.training.batch.policy = BatchPolicy::kFixed;
  return job;
}

TEST(LostPeer, LeavesTheLastCommittedStateAndTheSameMembersOnlyRepeatTheExchange) {
  const TrainingJob job = FixedJob();
  const std::vector<Plan> plans = {EqualPlan(3)};
  Cluster undisturbed(job, 3);
  undisturbed.RunToEnd(plans);

  Cluster cluster(job, 3);
  const auto failed = cluster.Run(plans, 1, DiesIn(Purpose::kModel, 1, 5));
  for (int r = 0; r < 3; ++r) {
    ASSERT_FALSE(failed[r].ok());
    EXPECT_EQ(failed[r].error().code, ErrorCode::kLostPeer) << failed[r].error().message;
    EXPECT_EQ(cluster.engine(r).round(), 4);
    EXPECT_EQ(cluster.reports(r).size(), 4u);
  }
  for (const auto& outcome : cluster.Run(plans, 2))
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(cluster.Parameters(), undisturbed.Parameters());
  EXPECT_EQ(cluster.reports().size(), undisturbed.reports().size());
  EXPECT_EQ(cluster.reports()[4].generation, (GenerationId{1, 2}));
  EXPECT_TRUE(cluster.reports()[4].lost.empty());
}

TEST(LostPeer, SurvivorsCompleteTheRoundWithoutItsPartWhichIsReadNext) {
  for (const int dead : {0, 1, 2}) {
    Cluster cluster(FixedJob(), 3);
    (void)cluster.Run({EqualPlan(3)}, 1, DiesIn(Purpose::kModel, dead, 5));
    cluster.Remove(dead);
    for (const auto& outcome : cluster.Run({EqualPlan(2, 2, 5)}, 2))
      ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    const std::vector<RoundReport>& reports = cluster.reports();
    const RoundReport& completed = reports[4];
    EXPECT_EQ(completed.round, 5);
    EXPECT_EQ(completed.plan_version, 1) << "it was begun under the old plan";
    EXPECT_EQ(TotalSize(completed.lost) + completed.samples, 4 * 32);
    EXPECT_GE(TotalSize(completed.lost), 4 * 10);
    EXPECT_EQ(reports[5].plan_version, 2);
    ASSERT_FALSE(completed.lost.empty());
    EXPECT_EQ(reports[5].committed.front().begin, completed.lost.front().begin);
    ExpectLedgerLaw(reports);
    EXPECT_EQ(cluster.reports(1).back().digest, reports.back().digest);
  }
}

// A fixed batch gains nothing, so that AdaScale counts samples as well.
TEST(LostPeer, ItsSamplesAdvanceTheScheduleOnceWhenTheyAreReadAgain) {
  for (const CouplingKind coupling : {CouplingKind::kNone, CouplingKind::kAdascale}) {
    TrainingJob job = FixedJob();
    job.spec.training.learning_rate.schedule = ScheduleKind::kLinear;
    job.spec.training.learning_rate.coupling = coupling;
    Cluster cluster(job, 3);
    (void)cluster.Run({EqualPlan(3)}, 1, DiesIn(Purpose::kModel, 1, 5));
    cluster.Remove(1);
    for (const auto& outcome : cluster.Run({EqualPlan(2, 2, 5)}, 2))
      ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    ASSERT_FALSE(cluster.reports()[4].lost.empty());
    Ledger ledger;
    for (const RoundReport& report : cluster.reports()) {
      const int64_t steps_before_last = (report.local_steps - 1) * report.global_batch;
      const auto progress = static_cast<double>(SamplesDone(ledger) + steps_before_last);
      EXPECT_NEAR(report.learning_rate, 0.1 * (1 - progress / 4000), 1e-12) << report.round;
      ASSERT_TRUE(ledger.Record({report.committed, report.discarded, report.lost}).ok());
    }
  }
}

TEST(LostPeer, TwoInARowCostOnlyTheirOwnParts) {
  Cluster cluster(FixedJob(), 4);
  (void)cluster.Run({EqualPlan(4)}, 1, DiesIn(Purpose::kModel, 3, 5));
  cluster.Remove(3);
  (void)cluster.Run({EqualPlan(3, 2, 5)}, 2,
                    DiesIn(Purpose::kModel, 0, 1));  // while the round is being completed
  cluster.Remove(0);
  for (const auto& outcome : cluster.Run({EqualPlan(2, 3, 5)}, 3))
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(cluster.reports()[4].samples, 2 * 4 * 8);
  EXPECT_EQ(TotalSize(cluster.reports()[4].lost), 2 * 4 * 8);
  ExpectLedgerLaw(cluster.reports());
}

TEST(LostPeer, ANewcomerTakesPartInTheCompletionWithNothing) {
  Cluster cluster(FixedJob(), 3);
  (void)cluster.Run({EqualPlan(3)}, 1, DiesIn(Purpose::kModel, 1, 5));
  cluster.Remove(1);
  cluster.Adopt(Cluster(FixedJob(), 1));
  for (const auto& outcome : cluster.Run({EqualPlan(3, 2, 5)}, 2))
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(cluster.reports(2)[0].round, 5);
  EXPECT_EQ(cluster.reports(2)[0].local_samples, 0);
  EXPECT_EQ(cluster.reports(2)[0].digest, cluster.reports(0)[4].digest);
  EXPECT_EQ(cluster.Parameters(2), cluster.Parameters(0));
  ExpectLedgerLaw(cluster.reports(0));
}

TEST(Boundary, AMemberThatLeavesIsGoneAndTheOthersReform) {
  Cluster cluster(FixedJob(), 3);
  cluster.channel(1).stop_at_call = 3;
  cluster.channel(1).request = BoundaryRequest::kLeave;
  const auto outcomes = cluster.Run({EqualPlan(3)});
  for (const auto& outcome : outcomes) ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(*outcomes[0], Outcome::kReformed);
  EXPECT_EQ(*outcomes[1], Outcome::kLeft);
  EXPECT_EQ(*outcomes[2], Outcome::kReformed);
  EXPECT_EQ(cluster.engine(0).round(), 3);
}

// Others may be told to leave as well, a moment too late to say so in the same round.
TEST(Boundary, AMemberThatLeavesLeavesACheckpointBehind) {
  const std::string folder = FreshFolder("leave");
  Cluster cluster(FixedJob(), 3, folder);
  cluster.channel(1).stop_at_call = 3;
  cluster.channel(1).request = BoundaryRequest::kLeave;
  for (const auto& outcome : cluster.Run({EqualPlan(3)}))
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  for (int r = 0; r < 3; ++r) EXPECT_TRUE(cluster.reports(r).back().checkpointed);
  // It may be complete before the report or after it: who goes on does not wait for it.
  auto told = cluster.reports(0).back().checkpoint;
  while (!told) told = cluster.engine(0).TakeCheckpoint();
  EXPECT_EQ(told->round, 3);
  Cluster resumed(FixedJob(), 2, folder);
  ASSERT_TRUE(resumed.engine(0).Resume(folder).ok());
  EXPECT_EQ(resumed.engine(0).round(), 3);
}

TEST(Boundary, WhenAllLeaveTheJobStops) {
  Cluster cluster(FixedJob(), 2);
  for (int r = 0; r < 2; ++r) {
    cluster.channel(r).stop_at_call = 2;
    cluster.channel(r).request = BoundaryRequest::kLeave;
  }
  for (const auto& outcome : cluster.Run({EqualPlan(2)})) EXPECT_EQ(*outcome, Outcome::kStopped);
}

TEST(NewGeneration, BringsANewcomerToTheMostAdvancedState) {
  const TrainingJob job = MomentumJob();
  // The newcomer has other parameters, as if its random numbers differed.
  TrainingJob other = job;
  other.spec.seed = 99;
  Cluster cluster(job, 2);
  cluster.channel(0).stop_at_call = 3;
  for (const auto& outcome : cluster.Run({EqualPlan(2)})) ASSERT_TRUE(outcome.ok());
  const std::vector<double> before = cluster.Parameters();

  Cluster newcomer(other, 1);
  ASSERT_NE(newcomer.Parameters(), before);
  cluster.Adopt(std::move(newcomer));
  cluster.channel(0).stop_at_call = 0;
  const auto outcomes = cluster.Run({EqualPlan(2), EqualPlan(3, 2, 4)}, 2);
  for (const auto& outcome : outcomes) ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(cluster.reports(2)[0].round, 4);
  EXPECT_EQ(cluster.Parameters(2), cluster.Parameters(0));
}

// A job like `job` whose data are of other sizes.
TrainingJob WithSamples(TrainingJob job, int64_t train, int64_t evaluation) {
  job.spec.data.synthetic.samples = train;
  job.spec.data.synthetic.evaluation_samples = evaluation;
  return job;
}

void ExpectDataError(const std::vector<Result<Outcome>>& outcomes, const std::string& what) {
  for (const auto& outcome : outcomes) {
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().code, ErrorCode::kData);
    EXPECT_NE(outcome.error().message.find(what), std::string::npos) << outcome.error().message;
  }
}

TEST(SharedData, OfUnlikeSizesAreRefusedBeforeTheFirstRound) {
  const TrainingJob job = SmallJob();
  Cluster cluster(job, {TrainingSet(job), TrainingSet(WithSamples(job, 500, 101))});
  ExpectDataError(cluster.Run({EqualPlan(2)}),
                  "rank 1 reads 500 training samples, rank 0 512: data.path must hold the same");
  for (int r = 0; r < 2; ++r) EXPECT_TRUE(cluster.reports(r).empty());

  Cluster other(job, 1);
  other.Adopt(Cluster(WithSamples(job, 512, 100), 1));
  ExpectDataError(other.Run({EqualPlan(2)}), "rank 1 reads 100 evaluation samples, rank 0 101");
}

TEST(SharedData, ANewcomersAreComparedToo) {
  const TrainingJob job = FixedJob();
  Cluster cluster(job, 2);
  cluster.channel(0).stop_at_call = 3;
  for (const auto& outcome : cluster.Run({EqualPlan(2)})) ASSERT_TRUE(outcome.ok());
  cluster.Adopt(Cluster(WithSamples(job, 500, 101), 1));
  ExpectDataError(cluster.Run({EqualPlan(3, 2, 4)}, 2), "rank 2 reads 500 training samples");
}

TEST(NotFinite, AnUpdateContributesNothingAndItsSamplesAreDiscarded) {
  TrainingJob job = MomentumJob();
  job.spec.training.batch.policy = BatchPolicy::kFixed;
  job.spec.training.max_samples = 512;  // one epoch: the poisoned sample comes once
  const auto clean = TrainingSet(job);
  const auto poisoned = Poisoned(clean, 77);
  Cluster cluster(job, {poisoned, poisoned, poisoned});
  cluster.RunToEnd({EqualPlan(3)});

  int64_t committed = 0;
  int bad_rounds = 0;
  for (size_t k = 0; k < cluster.reports().size(); ++k) {
    int64_t local = 0, lost = 0;
    for (int r = 0; r < 3; ++r) {
      const RoundReport& report = cluster.reports(r)[k];
      EXPECT_EQ(report.digest, cluster.reports(0)[k].digest);
      local += report.local_samples;
      if (!report.delta_finite) lost += report.local_samples;
    }
    const RoundReport& report = cluster.reports()[k];
    EXPECT_EQ(local, report.cursor_end - report.cursor_begin);
    EXPECT_EQ(report.samples, local - lost);
    EXPECT_TRUE(std::isfinite(report.loss));
    committed += report.samples;
    bad_rounds += lost > 0;
  }
  EXPECT_EQ(bad_rounds, 1);
  EXPECT_LT(committed, 512);
  EXPECT_GT(committed, 400);
  for (const double w : cluster.Parameters()) ASSERT_TRUE(std::isfinite(w));
}

TEST(NotFinite, TheOthersAverageAloneWithTheirOwnWeights) {
  TrainingJob job = SmallJob();
  job.spec.training.max_samples = 32;  // one round
  const auto clean = TrainingSet(job);
  Cluster cluster(job, {clean, Poisoned(clean)});
  cluster.RunToEnd({ExactPlan({16, 16})});
  // As if rank 0 had been alone with the first 16 samples.
  EXPECT_LT(RelativeDifference(cluster.Parameters(), PlainSgd(job, 16, 1)), 1e-12);
  EXPECT_FALSE(cluster.reports(1)[0].delta_finite);
}

TEST(NotFinite, AgainAndAgainOnOneWorkerAloneMakesItStartAnew) {
  TrainingJob job = SmallJob();
  const auto clean = TrainingSet(job);
  Cluster cluster(job, {clean, Poisoned(clean), clean});
  const auto outcomes = cluster.Run({EqualPlan(3)});
  ASSERT_TRUE(outcomes[1].ok());
  EXPECT_EQ(*outcomes[1], Outcome::kUnfit);
  EXPECT_EQ(cluster.engine(1).round(), 3);
  EXPECT_EQ(outcomes[0].error().code, ErrorCode::kLostPeer);
}

TEST(NotFinite, EverywhereForManyRoundsIsDivergence) {
  for (const int workers : {1, 2}) {
    TrainingJob job = SmallJob();
    job.spec.training.max_samples = 100000;
    const auto poisoned = Poisoned(TrainingSet(job));
    Cluster cluster(
        job, std::vector<std::shared_ptr<const Dataset>>(static_cast<size_t>(workers), poisoned));
    const std::vector<double> before = cluster.Parameters();
    for (const auto& outcome : cluster.Run({EqualPlan(workers)})) {
      ASSERT_FALSE(outcome.ok());
      EXPECT_EQ(outcome.error().code, ErrorCode::kUser);
      EXPECT_NE(outcome.error().message.find("diverged"), std::string::npos);
    }
    EXPECT_EQ(cluster.Parameters(), before);
  }
}

// Multiplies what its rank has learned, as a worker with broken memory or another learning rate
// would.
class ExaggeratingCollective final : public ForwardingCollective {
 public:
  using ForwardingCollective::ForwardingCollective;
  Status AllToAll(std::span<const std::byte> send, std::span<std::byte> receive,
                  Purpose purpose) override {
    std::vector<double> spoilt(send.size() / sizeof(double));
    std::memcpy(spoilt.data(), send.data(), send.size());
    for (double& x : spoilt) x *= 100;
    return ForwardingCollective::AllToAll(std::as_bytes(std::span(spoilt)), receive, purpose);
  }
};

TEST(RobustAggregation, ATrimmedMeanIsHardlyMovedByOneAbnormalWorker) {
  TrainingJob job = FixedJob();
  job.spec.training.synchronization.aggregation = Aggregation::kTrimmedMean;
  Cluster clean(job, 4), spoilt(job, 4);
  clean.RunToEnd({EqualPlan(4)});
  const auto outcomes = spoilt.Run(
      {EqualPlan(4)}, 1, [](std::unique_ptr<Collective> c) -> std::unique_ptr<Collective> {
        if (c->rank() != 2) return c;
        return std::make_unique<ExaggeratingCollective>(std::move(c));
      });
  for (const auto& outcome : outcomes) ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_LT(spoilt.reports().back().loss, 2 * clean.reports().back().loss + 0.1);
}

TEST(RobustAggregation, AClippedMeanCutsTheLargeUpdateOnly) {
  TrainingJob job = SmallJob();
  job.spec.training.synchronization.aggregation = Aggregation::kClippedMean;
  Cluster clipped(job, 4);
  clipped.RunToEnd({EqualPlan(4)});
  job.spec.training.synchronization.aggregation = Aggregation::kMean;
  Cluster plain(job, 4);
  plain.RunToEnd({EqualPlan(4)});
  // Healthy workers' updates are alike, so that cutting them to the median hardly matters.
  EXPECT_LT(RelativeDifference(clipped.Parameters(), plain.Parameters()), 0.2);
  EXPECT_NE(clipped.Parameters(), plain.Parameters());
}

// Changes the received average a little on its rank.
class CorruptingCollective final : public ForwardingCollective {
 public:
  using ForwardingCollective::ForwardingCollective;
  Status AllReduceSum(std::span<double> data, Purpose purpose) override {
    const Status status = ForwardingCollective::AllReduceSum(data, purpose);
    if (purpose == Purpose::kModel && ++calls_ == 3) data[0] += 1e-9;
    return status;
  }

 private:
  int calls_ = 0;
};

TEST(Replicas, ThatDivergeAreFoundAndNamed) {
  Cluster cluster(SmallJob(), 3);
  const auto outcomes = cluster.Run(
      {EqualPlan(3)}, 1, [](std::unique_ptr<Collective> c) -> std::unique_ptr<Collective> {
        if (c->rank() != 2) return c;
        return std::make_unique<CorruptingCollective>(std::move(c));
      });
  for (const auto& outcome : outcomes) {
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().code, ErrorCode::kBug);
    EXPECT_NE(outcome.error().message.find("rank 2 (worker-2)"), std::string::npos)
        << outcome.error().message;
  }
  EXPECT_EQ(cluster.engine(0).round(), 3);
}

}  // namespace
}  // namespace longstride::testing
