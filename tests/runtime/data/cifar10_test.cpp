#include "runtime/data/cifar10.h"

#include <gtest/gtest.h>

#include "core/base/format.h"
#include "tests/runtime/data/files.h"

namespace longstride::data {
namespace {

// Batch file b holds b records; record r of it has label b - 1 and planes 10 b + r, +100, +200 (mod
// 256).
TEST(Cifar10, ReadsRecordsAcrossBatchFiles) {
  TemporaryFolder folder;
  const auto record = [](int b, int r) {
    std::string out(1, static_cast<char>(b - 1));
    for (int plane = 0; plane < 3; ++plane) {
      out += std::string(1024, static_cast<char>(10 * b + r + 100 * plane));
    }
    return out;
  };
  for (int b = 1; b <= 5; ++b) {
    std::string content;
    for (int r = 0; r < b; ++r) content += record(b, r);
    folder.Write(Format("data_batch_%d.bin", b), content);
  }
  folder.Write("test_batch.bin", record(7, 0));

  DataSpec spec;
  spec.format = DataFormat::kCifar10;
  spec.path = folder.path();
  spec.normalization = {{0.1, 0.2, 0.3}, {0.5, 0.5, 2}};
  auto pair = OpenDatasets(spec, 1);
  ASSERT_TRUE(pair.ok()) << pair.error().message;
  EXPECT_EQ(pair->train->size(), 15);
  EXPECT_EQ(pair->evaluation->size(), 1);
  EXPECT_EQ(pair->train->shape().features, (std::vector<int64_t>{3, 32, 32}));
  EXPECT_EQ(pair->train->shape().classes, 10);

  Batch batch;
  pair->train->Read(std::vector<int64_t>{14, 0, 4}, batch);
  EXPECT_EQ(batch.labels, (std::vector<int64_t>{4, 0, 2}));
  ASSERT_EQ(batch.floats.size(), 3U * 3072);
  EXPECT_FLOAT_EQ(batch.floats[0], static_cast<float>((54 / 255.0 - 0.1) / 0.5));
  EXPECT_FLOAT_EQ(batch.floats[1024], static_cast<float>((154 / 255.0 - 0.2) / 0.5));
  EXPECT_FLOAT_EQ(batch.floats[3071], static_cast<float>((254 / 255.0 - 0.3) / 2));
  EXPECT_FLOAT_EQ(batch.floats[2 * 3072], static_cast<float>((31 / 255.0 - 0.1) / 0.5));
}

}  // namespace
}  // namespace longstride::data
