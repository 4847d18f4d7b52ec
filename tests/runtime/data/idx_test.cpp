#include "runtime/data/idx.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/runtime/data/files.h"

namespace longstride::data {
namespace {

// Two 2x3 images with pixels 0..11 and labels 1, 0; one evaluation image of pixel 255, label 1.
void WriteSmallSet(const TemporaryFolder& folder, bool gzip) {
  const std::string suffix = gzip ? ".gz" : "";
  const auto write = [&](const std::string& name, std::string content) {
    folder.Write(name + suffix, gzip ? Gzip(content) : content);
  };
  std::string pixels(12, '\0');
  std::iota(pixels.begin(), pixels.end(), '\0');
  write("train-images-idx3-ubyte", Idx({2, 2, 3}, pixels));
  write("train-labels-idx1-ubyte", Idx({2}, std::string("\1\0", 2)));
  write("t10k-images-idx3-ubyte", Idx({1, 2, 3}, std::string(6, '\xff')));
  write("t10k-labels-idx1-ubyte", Idx({1}, "\1"));
}

class IdxForms : public testing::TestWithParam<bool> {};

TEST_P(IdxForms, ReadsImagesAndLabelsNormalized) {
  TemporaryFolder folder;
  WriteSmallSet(folder, GetParam());
  DataSpec spec;
  spec.path = folder.path();
  spec.normalization = {{0.5}, {0.25}};
  auto pair = OpenDatasets(spec, 1);
  ASSERT_TRUE(pair.ok()) << pair.error().message;
  EXPECT_EQ(pair->train->size(), 2);
  EXPECT_EQ(pair->evaluation->size(), 1);
  EXPECT_EQ(pair->train->shape().features, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(pair->train->shape().classes, 2);

  Batch batch;
  pair->train->Read(std::vector<int64_t>{1, 0, 1}, batch);
  EXPECT_EQ(batch.size, 3);
  EXPECT_EQ(batch.labels, (std::vector<int64_t>{0, 1, 0}));
  ASSERT_EQ(batch.floats.size(), 18U);
  EXPECT_FLOAT_EQ(batch.floats[0], static_cast<float>((6 / 255.0 - 0.5) / 0.25));
  EXPECT_FLOAT_EQ(batch.floats[11], static_cast<float>((5 / 255.0 - 0.5) / 0.25));
  pair->evaluation->Read(std::vector<int64_t>{0}, batch);
  EXPECT_EQ(batch.floats, std::vector<float>(6, 2.0F));
}

INSTANTIATE_TEST_SUITE_P(PlainAndGzip, IdxForms, testing::Bool());

TEST(Idx, MissingFolderNamesTheFieldAndTheFiles) {
  DataSpec spec;
  spec.path = "/nonexistent";
  const auto pair = OpenDatasets(spec, 1);
  ASSERT_FALSE(pair.ok());
  EXPECT_EQ(pair.error().code, ErrorCode::kUser);
  EXPECT_NE(pair.error().message.find("spec.data.path"), std::string::npos) << pair.error().message;
}

TEST(Idx, NormalizationOfTheWrongLengthIsTheUsersError) {
  TemporaryFolder folder;
  WriteSmallSet(folder, false);
  DataSpec spec;
  spec.path = folder.path();
  spec.normalization.mean = {0.1, 0.2, 0.3};
  const auto pair = OpenDatasets(spec, 1);
  ASSERT_FALSE(pair.ok());
  EXPECT_EQ(pair.error().code, ErrorCode::kUser);
  EXPECT_NE(pair.error().message.find("normalization.mean: 3 values for 1 channels"),
            std::string::npos);
}

// The header decides how much is decompressed: a bomb is refused before memory is taken for it.
TEST(Idx, GzipHeaderBeyondWhatTheFileCanHoldIsRefused) {
  const std::string content = Gzip(Idx({4000000, 1000, 1000}, std::string(100, '\0')));
  const auto array = ParseIdx(ToBytes(content), "bomb.gz", 3);
  ASSERT_FALSE(array.ok());
  EXPECT_NE(array.error().message.find("bomb.gz: byte 4: found dimensions [4000000, 1000, 1000]"),
            std::string::npos)
      << array.error().message;
}

}  // namespace
}  // namespace longstride::data
