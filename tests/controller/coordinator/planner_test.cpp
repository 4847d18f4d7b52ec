#include "controller/coordinator/planner.h"

#include <gmock/gmock.h>

#include "tests/controller/coordinator/samples.h"

namespace longstride {
namespace {

std::vector<JoinRequest> TwoAlike() {
  return {MakeJoin(0), MakeJoin(1)};
}

// A round in which member r's steps of `batches[r]` took `seconds[r]` and synchronization `sync`.
RoundRecord MakeRecord(int64_t round, std::vector<int64_t> batches, std::vector<double> seconds,
                       double sync) {
  RoundRecord record;
  for (size_t r = 0; r < batches.size(); ++r) {
    RoundReport report = MakeReport({1, 1}, round, static_cast<int64_t>(r), 2);
    report.step_times = {{batches[r], seconds[r]}};
    report.seconds.communication = sync + (r == 0 ? 0.7 : 0);  // rank 0 waited for rank 1
    report.global_batch = report.next_global_batch = 64;
    record.reports.push_back(report);
    record.workers.push_back(MakeJoin(static_cast<int64_t>(r)).worker);
  }
  return record;
}

// Step time of the profile in MakeJoin.
double Profiled(int64_t batch) {
  return 0.001 + 0.0005 * static_cast<double>(batch);
}

TEST(Planner, TheFirstPlanComesFromTheProfilesAndTheGroupsBounds) {
  TrainingJob job = MakeJob(2);
  job.spec.workers[0].batch = {4, 50};
  Planner planner(job.spec, {}, 0);
  ASSERT_TRUE(planner.Begin(TwoAlike(), 1).ok());
  ASSERT_EQ(planner.plans().size(), 1u);
  const Plan& plan = planner.plans()[0];
  EXPECT_EQ(plan.version, 1);
  EXPECT_EQ(plan.first_round, 1);
  EXPECT_EQ(plan.shares[1].alpha, 0.001);
  EXPECT_EQ(plan.shares[1].micro_batch_cap, 256);
  EXPECT_EQ(plan.shares[1].min_batch, 4);
  EXPECT_EQ(plan.shares[1].max_batch, 50);
}

TEST(Planner, MembersOfOneGroupOnTheSameHardwareBeginAsEquals) {
  std::vector<JoinRequest> members = {MakeJoin(0), MakeJoin(1), MakeJoin(2), MakeJoin(0, "other")};
  members[1].profile.beta *= 3;  // profiled while another program ran
  members[3].profile.beta *= 2;
  TrainingJob job = MakeJob(4);
  job.spec.workers = MakeGroups({"worker", "other"});
  Planner planner(job.spec, {}, 0);
  ASSERT_TRUE(planner.Begin(members, 1).ok());
  std::vector<double> betas;
  for (const PlanShare& share : planner.plans()[0].shares) betas.push_back(share.beta);
  EXPECT_THAT(betas, ::testing::ElementsAre(0.0005, 0.0005, 0.0005, 0.001));
}

TEST(Planner, MembersWithUnlikeCpuQuotasBeginWithTheirOwnProfiles) {
  std::vector<JoinRequest> members = {MakeJoin(0), MakeJoin(1), MakeJoin(2)};
  members[0].profile.cpu_quota = 0.8;
  members[1].profile.cpu_quota = 0.2;
  members[1].profile.beta *= 4;
  members[2].profile.cpu_quota = 0.8;
  Planner planner(MakeJob(3).spec, {}, 0);
  ASSERT_TRUE(planner.Begin(members, 1).ok());
  std::vector<double> betas;
  for (const PlanShare& share : planner.plans()[0].shares) betas.push_back(share.beta);
  EXPECT_THAT(betas, ::testing::ElementsAre(0.0005, 0.002, 0.0005));
}

TEST(Planner, AQuotaBeyondTheThreadsMakesNoDifference) {
  std::vector<JoinRequest> members = {MakeJoin(0), MakeJoin(1), MakeJoin(2)};
  members[0].profile.cpu_quota = 8;
  members[1].profile.beta *= 3;  // profiled while another program ran
  Planner planner(MakeJob(3).spec, {}, 0);
  ASSERT_TRUE(planner.Begin(members, 1).ok());
  for (const PlanShare& share : planner.plans()[0].shares) EXPECT_EQ(share.beta, 0.0005);
}

TEST(Planner, RoundsThatGoAsPredictedBringNoNewPlan) {
  Planner planner(MakeJob(2).spec, {}, 0);
  ASSERT_TRUE(planner.Begin(TwoAlike(), 1).ok());
  for (int64_t round = 1; round <= 20; ++round) {
    EXPECT_FALSE(planner.Observe(MakeRecord(round, {32, 32}, {Profiled(32), Profiled(32)}, 0.1)));
  }
}

TEST(Planner, AWorkerThatTurnsOutSlowerGetsLessFromTwoRoundsLater) {
  const TrainingJob job = MakeJob(2);
  Planner planner(job.spec, {}, 0);
  ASSERT_TRUE(planner.Begin(TwoAlike(), 1).ok());
  std::optional<Plan> plan;
  int64_t round = 0;
  while (!plan && round < 10) {
    ++round;
    plan = planner.Observe(MakeRecord(round, {32, 32}, {Profiled(32), 3 * Profiled(32)}, 0.01));
  }
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(round, 3);
  EXPECT_EQ(plan->version, 2);
  EXPECT_EQ(plan->first_round, 5);
  EXPECT_NEAR(plan->shares[1].beta, 3 * plan->shares[0].beta, 1e-9);
  const auto predicted = Predict(job.spec, *plan, 64, 0);
  ASSERT_TRUE(predicted.ok());
  EXPECT_NEAR(static_cast<double>(predicted->batches[0]), 48, 1);
}

TEST(Planner, ACapThatAMemberHadToLowerIsPlannedWithAndForgetsWhatWasTimedAboveIt) {
  Planner planner(MakeJob(2).spec, {}, 0);
  ASSERT_TRUE(planner.Begin(TwoAlike(), 1).ok());
  std::optional<Plan> plan;
  for (int64_t round = 1; !plan && round < 10; ++round) {
    // In round 2 memory runs out in member 1, and part of it is computed twice.
    RoundRecord record = MakeRecord(
        round, {32, 32}, {Profiled(32), round == 2 ? 9 * Profiled(32) : Profiled(32) + 0.001}, 0.1);
    record.reports[0].micro_batch_cap = 256;
    record.reports[1].micro_batch_cap = round < 2 ? 256 : 16;
    plan = planner.Observe(record);
  }
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->shares[0].micro_batch_cap, 256);
  EXPECT_EQ(plan->shares[1].micro_batch_cap, 16);
  EXPECT_NEAR(plan->shares[1].beta, plan->shares[0].beta, 1e-6);
  // Whoever stays in the next generation keeps it.
  ASSERT_TRUE(planner.Begin({MakeJoin(1)}, 10).ok());
  EXPECT_EQ(planner.plans().back().shares[0].micro_batch_cap, 16);
}

TEST(Planner, PlansAreAtLeastThreeRoundsApart) {
  Planner planner(MakeJob(2).spec, {}, 0);
  ASSERT_TRUE(planner.Begin(TwoAlike(), 1).ok());
  std::vector<int64_t> issued;
  for (int64_t round = 1; round <= 40; ++round) {  // the load moves from one worker to the other
    const bool first = round / 8 % 2 == 0;
    const auto record = MakeRecord(
        round, {32, 32}, {Profiled(32) * (first ? 4 : 1), Profiled(32) * (first ? 1 : 4)}, 0.001);
    if (planner.Observe(record)) issued.push_back(round);
  }
  ASSERT_GE(issued.size(), 2u);
  for (size_t i = 1; i < issued.size(); ++i) EXPECT_GE(issued[i] - issued[i - 1], 3);
}

TEST(Planner, KeepsOnlyPlansThatMayStillGovernARound) {
  Planner planner(MakeJob(2).spec, {}, 0);
  ASSERT_TRUE(planner.Begin(TwoAlike(), 1).ok());
  std::vector<Plan> issued = planner.plans();
  size_t governing = 0;
  for (int64_t round = 1; round <= 1000; ++round) {  // the load moves from one worker to the other
    while (governing + 1 < issued.size() && issued[governing + 1].first_round <= round) ++governing;
    const bool first = round / 40 % 2 == 0;
    RoundRecord record = MakeRecord(
        round, {32, 32}, {Profiled(32) * (first ? 4 : 1), Profiled(32) * (first ? 1 : 4)}, 0.001);
    for (RoundReport& report : record.reports) report.plan_version = issued[governing].version;
    if (const auto plan = planner.Observe(record)) issued.push_back(*plan);
    ASSERT_LE(planner.plans().size(), 2u) << round;
    EXPECT_EQ(planner.plans().front().version, issued[governing].version);
  }
  EXPECT_GE(issued.size(), 20u);
}

TEST(Planner, TheLinksTimeIsThatOfTheMemberThatWaitedLeast) {
  TrainingJob job = MakeJob(2);
  job.spec.training.local_steps.policy = LocalStepsPolicy::kAuto;
  Planner planner(job.spec, {}, 0);
  ASSERT_TRUE(planner.Begin(TwoAlike(), 1).ok());
  std::optional<Plan> plan;
  for (int64_t round = 1; !plan && round < 10; ++round) {
    plan = planner.Observe(MakeRecord(round, {32, 32}, {Profiled(32), Profiled(32)}, 0.2));
  }
  ASSERT_TRUE(plan.has_value());  // as H follows from it
  EXPECT_DOUBLE_EQ(plan->sync_seconds, 0.2);
  const auto predicted = Predict(job.spec, *plan, 64, 0);
  ASSERT_TRUE(predicted.ok());
  EXPECT_EQ(predicted->local_steps, 106);  // 0.2 <= 0.1 * (0.2 + H * 0.017)
}

TEST(Planner, ARecordedHistoryIsHandedOutAndHoldsUntilItsLastRound) {
  TrainingJob job = MakeJob(2);
  Planner first(job.spec, {}, 0);
  ASSERT_TRUE(first.Begin(TwoAlike(), 1).ok());
  Plan second = first.plans()[0];
  second.version = 2;
  second.first_round = 6;
  Planner planner(job.spec, {first.plans()[0], second}, 30);
  ASSERT_TRUE(planner.Begin(TwoAlike(), 4).ok());
  EXPECT_EQ(planner.plans().size(), 2u);
  for (int64_t round = 4; round < 30; ++round) {
    EXPECT_FALSE(
        planner.Observe(MakeRecord(round, {32, 32}, {Profiled(32), 9 * Profiled(32)}, 0.01)));
  }
  const auto plan =
      planner.Observe(MakeRecord(30, {32, 32}, {Profiled(32), 9 * Profiled(32)}, 0.01));
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->version, 3);
  EXPECT_EQ(plan->first_round, 32);
}

TEST(Planner, TheHistorySaysWhenAPlanWasReallyUsed) {
  Plan one{1, 1, {}, 0};
  Plan two{2, 3, {}, 0};    // reached the last member two rounds late
  Plan three{3, 9, {}, 0};  // never used
  std::vector<RoundRecord> records;
  for (int64_t round = 1; round <= 7; ++round) {
    RoundRecord record = MakeRecord(round, {32, 32}, {1, 1}, 0);
    for (RoundReport& r : record.reports) r.plan_version = round < 5 ? 1 : 2;
    records.push_back(record);
  }
  const std::vector<Plan> history = PlanHistory({one, two, three}, records);
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(history[0].first_round, 1);
  EXPECT_EQ(history[1].version, 2);
  EXPECT_EQ(history[1].first_round, 5);
}

TEST(Planner, AReprofiledWorkerIsTimedWithWhatItsStepsWaitFor) {
  Planner planner(MakeJob(2).spec, {}, 0);
  ASSERT_TRUE(planner.Begin(TwoAlike(), 1).ok());
  const auto slow_to_read = [](int64_t round) {
    RoundRecord record = MakeRecord(round, {32, 32}, {Profiled(32), Profiled(32)}, 0.1);
    for (RoundReport& report : record.reports) {
      report.local_batch = 32;
      report.seconds.compute = 8 * Profiled(32);
    }
    record.reports[1].seconds.data = 2 * 8 * Profiled(32);
    return record;
  };
  int64_t round = 1;
  for (; round <= 6; ++round) EXPECT_FALSE(planner.Observe(slow_to_read(round)).has_value());
  planner.Reprofile(MakeJoin(1).worker);
  const std::optional<Plan> plan = planner.Observe(slow_to_read(round));
  ASSERT_TRUE(plan.has_value());
  EXPECT_NEAR(plan->shares[1].beta, 3 * plan->shares[0].beta, 1e-9);
}

}  // namespace
}  // namespace longstride
