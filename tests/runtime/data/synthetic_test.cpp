#include "runtime/data/synthetic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace longstride::data {
namespace {

DataSpec SpecOf(SyntheticTask task) {
  DataSpec spec;
  spec.format = DataFormat::kSynthetic;
  spec.synthetic.task = task;
  spec.synthetic.samples = 3000;
  spec.synthetic.evaluation_samples = 500;
  spec.context = 16;
  if (task == SyntheticTask::kImages) spec.synthetic.shape = {3, 8, 6};
  return spec;
}

DatasetPair Open(const DataSpec& spec, uint64_t seed = 7) {
  auto pair = OpenDatasets(spec, seed);
  EXPECT_TRUE(pair.ok()) << pair.error().message;
  return std::move(*pair);
}

Batch ReadAll(const Dataset& dataset) {
  std::vector<int64_t> indices(static_cast<size_t>(dataset.size()));
  std::iota(indices.begin(), indices.end(), 0);
  Batch batch;
  dataset.Read(indices, batch);
  return batch;
}

class EveryTask : public testing::TestWithParam<SyntheticTask> {};

TEST_P(EveryTask, SampleDoesNotDependOnOrderOrOnOtherSamples) {
  const DatasetPair pair = Open(SpecOf(GetParam()));
  Batch many;
  Batch one;
  pair.train->Read(std::vector<int64_t>{5, 2999, 17}, many);
  pair.train->Read(std::vector<int64_t>{17}, one);
  const auto tail = [](const auto& all, const auto& last) {
    return std::equal(last.begin(), last.end(), all.end() - static_cast<int64_t>(last.size()));
  };
  EXPECT_TRUE(tail(many.floats, one.floats));
  EXPECT_TRUE(tail(many.ids, one.ids));
  EXPECT_TRUE(tail(many.labels, one.labels));
  EXPECT_TRUE(tail(many.targets, one.targets));
  EXPECT_EQ(many.size, 3);
}

TEST_P(EveryTask, SeedDecidesAllAndEvaluationIsNotTraining) {
  const DatasetPair first = Open(SpecOf(GetParam()), 1);
  const DatasetPair same = Open(SpecOf(GetParam()), 1);
  const DatasetPair other = Open(SpecOf(GetParam()), 2);
  const Batch a = ReadAll(*first.evaluation);
  const Batch b = ReadAll(*same.evaluation);
  const Batch c = ReadAll(*other.evaluation);
  const Batch train = ReadAll(*first.train);
  EXPECT_TRUE(a.floats == b.floats && a.ids == b.ids && a.labels == b.labels);
  EXPECT_FALSE(a.floats == c.floats && a.ids == c.ids);
  EXPECT_FALSE(std::equal(a.floats.begin(), a.floats.end(), train.floats.begin()) &&
               std::equal(a.ids.begin(), a.ids.end(), train.ids.begin()));
}

INSTANTIATE_TEST_SUITE_P(Tasks, EveryTask,
                         testing::Values(SyntheticTask::kClassification, SyntheticTask::kRegression,
                                         SyntheticTask::kImages, SyntheticTask::kTokens));

// The values are pinned: a change here changes every recorded synthetic run.
TEST(Synthetic, ValuesArePinned) {
  const DatasetPair pair = Open(SpecOf(SyntheticTask::kClassification), 1);
  Batch batch;
  pair.train->Read(std::vector<int64_t>{0}, batch);
  EXPECT_EQ(batch.labels[0], 0);
  EXPECT_FLOAT_EQ(batch.floats[0], 1.1142888F);
}

TEST(Synthetic, FeaturesAreStandardNormalUpToTwoMoments) {
  const Batch batch = ReadAll(*Open(SpecOf(SyntheticTask::kRegression)).train);
  double sum = 0;
  double squares = 0;
  for (float x : batch.floats) {
    sum += x;
    squares += static_cast<double>(x) * x;
  }
  const auto n = static_cast<double>(batch.floats.size());
  EXPECT_NEAR(sum / n, 0, 0.01);
  EXPECT_NEAR(squares / n, 1, 0.01);
}

// Nearest class mean, fitted on training data, must classify evaluation data almost perfectly.
TEST(Synthetic, ClustersSeparate) {
  const DatasetPair pair = Open(SpecOf(SyntheticTask::kClassification));
  const Batch train = ReadAll(*pair.train);
  const Batch test = ReadAll(*pair.evaluation);
  const size_t d = 32;
  std::vector<double> mean(10 * d);
  std::vector<double> count(10);
  for (size_t i = 0; i < train.labels.size(); ++i) {
    const auto k = static_cast<size_t>(train.labels[i]);
    count[k] += 1;
    for (size_t j = 0; j < d; ++j) mean[k * d + j] += train.floats[i * d + j];
  }
  for (double c : count) EXPECT_GT(c, 200);
  size_t right = 0;
  for (size_t i = 0; i < test.labels.size(); ++i) {
    std::map<double, size_t> by_distance;
    for (size_t k = 0; k < 10; ++k) {
      double distance = 0;
      for (size_t j = 0; j < d; ++j) {
        distance += std::pow(test.floats[i * d + j] - mean[k * d + j] / count[k], 2);
      }
      by_distance[distance] = k;
    }
    right += by_distance.begin()->second == static_cast<size_t>(test.labels[i]) ? 1 : 0;
  }
  EXPECT_GE(right, 495U);
}

TEST(Synthetic, TokenLabelsAreTheIdsOnePositionOn) {
  const DatasetPair pair = Open(SpecOf(SyntheticTask::kTokens));
  EXPECT_TRUE(pair.train->shape().tokens);
  EXPECT_EQ(pair.train->shape().features, std::vector<int64_t>{16});
  Batch batch;
  pair.train->Read(std::vector<int64_t>{3}, batch);
  EXPECT_TRUE(std::equal(batch.ids.begin() + 1, batch.ids.end(), batch.labels.begin()));
  for (int64_t id : batch.labels) EXPECT_TRUE(id >= 0 && id < 10);
}

TEST(Synthetic, UnusableSizesAreTheUsersErrorWithTheField) {
  DataSpec images = SpecOf(SyntheticTask::kImages);
  images.synthetic.shape = {32};
  DataSpec huge = SpecOf(SyntheticTask::kClassification);
  huge.synthetic.shape = {int64_t{1} << 40, int64_t{1} << 40};
  DataSpec none = SpecOf(SyntheticTask::kTokens);
  none.synthetic.samples = 0;
  const std::pair<DataSpec, std::string> cases[] = {
      {images, "synthetic.shape"}, {huge, "synthetic.shape"}, {none, "synthetic.samples"}};
  for (const auto& [spec, field] : cases) {
    const auto pair = OpenDatasets(spec, 1);
    ASSERT_FALSE(pair.ok());
    EXPECT_EQ(pair.error().code, ErrorCode::kUser);
    EXPECT_NE(pair.error().message.find(field), std::string::npos) << pair.error().message;
  }
}

}  // namespace
}  // namespace longstride::data
