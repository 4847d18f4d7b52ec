#include "runtime/data/shards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numeric>

#include "tests/runtime/data/files.h"

namespace longstride {
namespace {

using ::testing::HasSubstr;

std::vector<int64_t> BalancedLabels(int64_t samples, int64_t classes) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < samples; ++i) labels.push_back(i * 7 % classes);
  return labels;
}

using Parts = std::vector<std::vector<int64_t>>;

// [shard][class], as a fraction of the class.
std::vector<std::vector<double>> Shares(const Parts& parts, const std::vector<int64_t>& labels,
                                        int64_t classes) {
  std::vector<double> totals(static_cast<size_t>(classes));
  for (const int64_t label : labels) totals[static_cast<size_t>(label)] += 1;
  std::vector<std::vector<double>> shares;
  for (const auto& part : parts) {
    shares.emplace_back(static_cast<size_t>(classes));
    for (const int64_t i : part) {
      const auto label = static_cast<size_t>(labels[static_cast<size_t>(i)]);
      shares.back()[label] += 1 / totals[label];
    }
  }
  return shares;
}

TEST(PartitionByClass, PutsEverySampleIntoExactlyOneShard) {
  const std::vector<int64_t> labels = BalancedLabels(1003, 10);
  for (const double alpha : {0.05, 0.5, 10.0, 1e6}) {
    for (const int64_t shards : {1, 2, 4, 7}) {
      const auto parts = PartitionByClass(labels, 10, shards, alpha, 5);
      ASSERT_TRUE(parts.ok()) << parts.error().message;
      ASSERT_EQ(parts->size(), static_cast<size_t>(shards));
      std::vector<int64_t> all;
      for (const auto& part : *parts) {
        EXPECT_FALSE(part.empty());
        EXPECT_TRUE(std::ranges::is_sorted(part));
        all.insert(all.end(), part.begin(), part.end());
      }
      std::ranges::sort(all);
      std::vector<int64_t> expected(labels.size());
      std::iota(expected.begin(), expected.end(), int64_t{0});
      EXPECT_EQ(all, expected);
    }
  }
}

TEST(PartitionByClass, FollowsFromTheSeed) {
  const std::vector<int64_t> labels = BalancedLabels(500, 5);
  EXPECT_EQ(*PartitionByClass(labels, 5, 3, 0.3, 1), *PartitionByClass(labels, 5, 3, 0.3, 1));
  EXPECT_NE(*PartitionByClass(labels, 5, 3, 0.3, 1), *PartitionByClass(labels, 5, 3, 0.3, 2));
}

TEST(PartitionByClass, SharesHaveTheDirichletDistributionsMeanAndVariance) {
  constexpr int64_t kShards = 4, kClasses = 50;
  const std::vector<int64_t> labels = BalancedLabels(50000, kClasses);
  for (const double alpha : {0.1, 1.0, 5.0}) {
    double sum = 0, squares = 0, count = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      const auto parts = PartitionByClass(labels, kClasses, kShards, alpha, seed);
      ASSERT_TRUE(parts.ok());
      for (const auto& shard : Shares(*parts, labels, kClasses)) {
        for (const double share : shard) sum += share, squares += share * share, ++count;
      }
    }
    const double mean = 1.0 / kShards, variance = mean * (1 - mean) / (kShards * alpha + 1);
    EXPECT_NEAR(sum / count, mean, 1e-9);
    EXPECT_NEAR((squares / count - mean * mean) / variance, 1, 0.1) << "alpha " << alpha;
  }
}

TEST(PartitionByClass, RefusesMoreShardsThanSamples) {
  const auto parts = PartitionByClass(BalancedLabels(3, 3), 3, 5, 1, 1);
  ASSERT_FALSE(parts.ok());
  EXPECT_EQ(parts.error().code, ErrorCode::kUser);
  EXPECT_THAT(parts.error().message, HasSubstr("fewer shards"));
}

TrainingJobSpec PartitionedJob() {
  TrainingJobSpec job;
  job.replicas = 3;
  job.data.placement = DataPlacement::kLocal;
  job.data.format = DataFormat::kSynthetic;
  job.data.synthetic.samples = 300;
  job.data.partition = PartitionSpec{.dirichlet = 0.2};
  return job;
}

TEST(OpenOwnDatasets, WorkersShareOutAPartitionedDataset) {
  const TrainingJobSpec job = PartitionedJob();
  const auto whole = OpenDatasets(job.data, static_cast<uint64_t>(job.seed));
  int64_t samples = 0;
  for (int64_t index = 0; index < 3; ++index) {
    const auto own = OpenOwnDatasets(job, "worker", index);
    ASSERT_TRUE(own.ok()) << own.error().message;
    EXPECT_EQ(own->train->shape().classes, whole->train->shape().classes);
    EXPECT_EQ(own->evaluation->size(), whole->evaluation->size());
    samples += own->train->size();
  }
  EXPECT_EQ(samples, 300);
  const auto fourth = OpenOwnDatasets(job, "worker", 3);
  ASSERT_FALSE(fourth.ok());
  EXPECT_THAT(fourth.error().message, HasSubstr("worker-3 has no shard"));
}

TEST(OpenOwnDatasets, SharedDataAreTheSameForAll) {
  TrainingJobSpec job = PartitionedJob();
  job.data.placement = DataPlacement::kShared;
  EXPECT_EQ(OpenOwnDatasets(job, "worker", 1)->train->size(), 300);
}

TEST(OpenOwnDatasets, RegressionCannotBePartitioned) {
  TrainingJobSpec job = PartitionedJob();
  job.data.synthetic.task = SyntheticTask::kRegression;
  EXPECT_EQ(OpenOwnDatasets(job, "worker", 0).error().code, ErrorCode::kUser);
}

TEST(OpenOwnDatasets, FillsInGroupAndIndex) {
  TrainingJobSpec job = PartitionedJob();
  job.data.partition.reset();
  job.data.format = DataFormat::kText;
  job.data.path = "/nowhere/{group}/{index}/text-{index}.txt";
  EXPECT_THAT(OpenOwnDatasets(job, "gpu", 12).error().message,
              HasSubstr("/nowhere/gpu/12/text-12.txt"));
}

}  // namespace
}  // namespace longstride
