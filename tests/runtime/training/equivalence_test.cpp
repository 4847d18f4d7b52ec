// With H = 1, plain averaging and SGD, M workers compute what one process computes with the whole
// batch.
#include <gtest/gtest.h>

#include "cluster.h"

namespace longstride::testing {
namespace {

struct EquivalenceCase {
  const char* name;
  bool cnn;
  Precision precision;
  std::vector<int64_t> batches;  // b_m
  int64_t micro_batch_cap = 4096;
};

class Equivalence : public ::testing::TestWithParam<EquivalenceCase> {};

TEST_P(Equivalence, FiftyRoundsEqualFiftyStepsOfOneProcess) {
  const EquivalenceCase& c = GetParam();
  TrainingJob job = c.cnn ? SmallCnnJob() : SmallJob();
  job.spec.training.precision = c.precision;
  int64_t batch = 0;
  for (const int64_t b : c.batches) batch += b;
  job.spec.training.batch.initial = batch;
  job.spec.training.max_samples = 50 * batch;

  Plan plan = ExactPlan(c.batches);
  for (PlanShare& share : plan.shares) share.micro_batch_cap = c.micro_batch_cap;
  Cluster cluster(job, static_cast<int>(c.batches.size()));
  cluster.RunToEnd({plan});
  ASSERT_EQ(cluster.engine(0).round(), 50);

  const std::vector<double> reference = PlainSgd(job, batch, 50);
  const double difference = RelativeDifference(cluster.Parameters(), reference);
  RecordProperty("relative_difference", std::to_string(difference));
  std::printf("%s: relative difference %.2e\n", c.name, difference);
  EXPECT_LT(difference, c.precision == Precision::kFloat64 ? 1e-9 : 1e-5);
}

constexpr Precision kWide = Precision::kFloat64, kNarrow = Precision::kFloat32;

INSTANTIATE_TEST_SUITE_P(
    , Equivalence,
    ::testing::Values(EquivalenceCase{"mlp_1", false, kWide, {32}},
                      EquivalenceCase{"mlp_2", false, kWide, {16, 16}},
                      EquivalenceCase{"mlp_3_unequal", false, kWide, {5, 20, 7}},
                      EquivalenceCase{"mlp_4", false, kWide, {8, 8, 8, 8}},
                      EquivalenceCase{"mlp_4_unequal", false, kWide, {1, 17, 4, 10}},
                      EquivalenceCase{"mlp_2_accumulated", false, kWide, {19, 13}, 4},
                      EquivalenceCase{"mlp_4_float", false, kNarrow, {1, 17, 4, 10}},
                      EquivalenceCase{"mlp_1_float", false, kNarrow, {32}},
                      EquivalenceCase{"cnn_1", true, kWide, {32}},
                      EquivalenceCase{"cnn_2_unequal", true, kWide, {11, 21}},
                      EquivalenceCase{"cnn_3", true, kWide, {11, 11, 10}},
                      EquivalenceCase{"cnn_4_unequal", true, kWide, {3, 9, 14, 6}},
                      EquivalenceCase{"cnn_4_float", true, kNarrow, {3, 9, 14, 6}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Equivalent, HoldsWithTheStepZeroSplitOfAnAdaptiveBatch) {
  TrainingJob job = SmallJob();
  job.spec.training.batch.policy = BatchPolicy::kAdaptive;
  job.spec.limits.max_global_batch = 32;  // so it stays
  Cluster cluster(job, 3);
  cluster.RunToEnd({EqualPlan(3)});
  EXPECT_LT(RelativeDifference(cluster.Parameters(), PlainSgd(job, 32, 50)), 1e-9);
}

TEST(Equivalent, FasterWorkersTakeMoreAndTheResultIsTheSame) {
  const TrainingJob job = SmallJob();
  Plan plan = EqualPlan(3);
  plan.shares[0].beta = 3e-3;
  plan.shares[1].beta = 1e-3;
  plan.shares[2].beta = 2e-3;
  Cluster cluster(job, 3);
  cluster.RunToEnd({plan});
  EXPECT_LT(cluster.reports(0)[0].local_batch, cluster.reports(2)[0].local_batch);
  EXPECT_LT(cluster.reports(2)[0].local_batch, cluster.reports(1)[0].local_batch);
  EXPECT_LT(RelativeDifference(cluster.Parameters(), PlainSgd(job, 32, 50)), 1e-9);
}

}  // namespace
}  // namespace longstride::testing
