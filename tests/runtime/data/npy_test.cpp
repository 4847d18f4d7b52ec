#include "runtime/data/npy.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/runtime/data/files.h"

namespace longstride::data {
namespace {

std::string Npy(const std::string& descr, const std::string& shape, const std::string& elements) {
  const std::string header =
      "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
  return "\x93NUMPY" + std::string("\1\0", 2) +
         Little<uint16_t>({static_cast<uint16_t>(header.size())}) + header + elements;
}

DataSpec SpecOf(const std::string& path) {
  DataSpec spec;
  spec.format = DataFormat::kNpy;
  spec.path = path;
  return spec;
}

// golden/make_golden.py wrote these with NumPy: train.npz stored, test.npz deflated.
TEST(Npz, ReadsWhatNumpyWrites) {
  auto pair = OpenDatasets(SpecOf(LONGSTRIDE_SOURCE_DIR "/tests/runtime/data/golden"), 1);
  ASSERT_TRUE(pair.ok()) << pair.error().message;
  EXPECT_EQ(pair->train->shape().features, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(pair->train->shape().classes, 3);
  Batch batch;
  pair->train->Read(std::vector<int64_t>{1, 0}, batch);
  EXPECT_EQ(batch.labels, (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(batch.floats,
            (std::vector<float>{1.5, 1.75, 2, 2.25, 2.5, 2.75, 0, 0.25, 0.5, 0.75, 1, 1.25}));
  pair->evaluation->Read(std::vector<int64_t>{0}, batch);
  EXPECT_EQ(batch.floats, (std::vector<float>{1, 1.25, 1.5, 1.75, 2, 2.25}));
  EXPECT_EQ(batch.labels, std::vector<int64_t>{1});
}

struct Typed {
  const char* descr;
  std::string elements;
  double scale;  // what 1 in the file becomes before normalization
};

class NpyTypes : public testing::TestWithParam<Typed> {};

TEST_P(NpyTypes, AreConvertedAndNormalizedPerChannel) {
  TemporaryFolder folder;
  for (const char* part : {"train", "test"}) {
    folder.Write(std::string(part) + "_x.npy",
                 Npy(GetParam().descr, "(1, 2)", GetParam().elements));
    folder.Write(std::string(part) + "_y.npy", Npy("<f8", "(1,)", Little<double>({0.5})));
  }
  DataSpec spec = SpecOf(folder.path());
  spec.normalization = {{1, 2}, {4}};
  auto pair = OpenDatasets(spec, 1);
  ASSERT_TRUE(pair.ok()) << pair.error().message;
  Batch batch;
  pair->train->Read(std::vector<int64_t>{0}, batch);
  const double s = GetParam().scale;
  ASSERT_EQ(batch.floats.size(), 2U);
  EXPECT_FLOAT_EQ(batch.floats[0], static_cast<float>((3 * s - 1) / 4));
  EXPECT_FLOAT_EQ(batch.floats[1], static_cast<float>((7 * s - 2) / 4));
}

INSTANTIATE_TEST_SUITE_P(All, NpyTypes,
                         testing::Values(Typed{"|u1", Little<uint8_t>({3, 7}), 1 / 255.0},
                                         Typed{"<i4", Little<int32_t>({3, 7}), 1},
                                         Typed{"<i8", Little<int64_t>({3, 7}), 1},
                                         Typed{"<f4", Little<float>({3, 7}), 1},
                                         Typed{"<f8", Little<double>({3, 7}), 1}));

TEST(Npy, FloatingPointTargetsMakeARegression) {
  TemporaryFolder folder;
  for (const char* part : {"train", "test"}) {
    folder.Write(std::string(part) + "_x.npy", Npy("<f4", "(2, 1)", Little<float>({1, 2})));
    folder.Write(std::string(part) + "_y.npy",
                 Npy("<f4", "(2, 3)", Little<float>({1, 2, 3, 4, 5, 6})));
  }
  auto pair = OpenDatasets(SpecOf(folder.path()), 1);
  ASSERT_TRUE(pair.ok()) << pair.error().message;
  EXPECT_EQ(pair->train->shape().outputs, 3);
  EXPECT_EQ(pair->train->shape().classes, 0);
  Batch batch;
  pair->train->Read(std::vector<int64_t>{1, 0}, batch);
  EXPECT_EQ(batch.targets, (std::vector<float>{4, 5, 6, 1, 2, 3}));
  EXPECT_TRUE(batch.labels.empty());
}

void ExpectBrokenFeature(const std::string& descr, const std::string& elements, size_t at,
                         const std::string& found) {
  TemporaryFolder folder;
  for (const char* part : {"train", "test"})
    folder.Write(std::string(part) + "_y.npy", Npy("<i8", "(3,)", Little<int64_t>({0, 1, 0})));
  const std::string x = Npy(descr, "(3, 2)", elements);
  folder.Write("train_x.npy", x);
  folder.Write("test_x.npy", x);
  const auto pair = OpenDatasets(SpecOf(folder.path()), 1);
  ASSERT_FALSE(pair.ok());
  EXPECT_EQ(pair.error().code, ErrorCode::kData);
  const size_t offset = x.size() - elements.size() + at;
  EXPECT_NE(pair.error().message.find("train_x.npy: byte " + std::to_string(offset) +
                                      ": found a feature that is " + found),
            std::string::npos)
      << pair.error().message;
}

TEST(Npy, FeaturesThatAreNotFiniteAreNamedWithTheirPlace) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  ExpectBrokenFeature("<f4", Little<float>({0, 1, 2, nan, 4, 5}), 3 * 4, "nan");
  ExpectBrokenFeature("<f8", Little<double>({0, 1, 2, 3, 4, -infinity}), 5 * 8, "-inf");
}

TEST(Npy, VersionTwoHasAFourByteHeaderLength) {
  const std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (2,)}\n";
  const std::string file = "\x93NUMPY" + std::string("\2\0", 2) +
                           Little<uint32_t>({static_cast<uint32_t>(header.size())}) + header +
                           Little<int32_t>({5, 6});
  const auto array = ParseNpy(ToBytes(file), "v2.npy");
  ASSERT_TRUE(array.ok()) << array.error().message;
  EXPECT_EQ(array->shape, std::vector<int64_t>{2});
  EXPECT_EQ(array->elements.size(), 8U);
}

}  // namespace
}  // namespace longstride::data
