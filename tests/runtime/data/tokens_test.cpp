#include "runtime/data/tokens.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/runtime/data/files.h"

namespace longstride::data {
namespace {

template <typename T>
std::string Count(int from, int to) {
  std::string out;
  for (int i = from; i < to; ++i) out += Little<T>({static_cast<T>(i)});
  return out;
}

TEST(Text, BytesAreTokensAndTheLastTenthIsForEvaluation) {
  TemporaryFolder folder;
  DataSpec spec;
  spec.format = DataFormat::kText;
  spec.context = 4;
  spec.path = folder.Write("text.txt", Count<uint8_t>(100, 200));
  auto pair = OpenDatasets(spec, 1);
  ASSERT_TRUE(pair.ok()) << pair.error().message;
  EXPECT_TRUE(pair->train->shape().tokens);
  EXPECT_EQ(pair->train->shape().classes, 256);
  EXPECT_EQ(pair->train->size(), 22);      // 90 tokens: 22 samples of 4, and a label for the last
  EXPECT_EQ(pair->evaluation->size(), 2);  // 10 tokens

  Batch batch;
  pair->train->Read(std::vector<int64_t>{21, 0}, batch);
  EXPECT_EQ(batch.ids, (std::vector<int64_t>{184, 185, 186, 187, 100, 101, 102, 103}));
  EXPECT_EQ(batch.labels, (std::vector<int64_t>{185, 186, 187, 188, 101, 102, 103, 104}));
  pair->evaluation->Read(std::vector<int64_t>{0}, batch);
  EXPECT_EQ(batch.ids, (std::vector<int64_t>{190, 191, 192, 193}));
}

template <typename T>
void ExpectReads(TokenType type) {
  TemporaryFolder folder;
  DataSpec spec;
  spec.format = DataFormat::kTokens;
  spec.token_type = type;
  spec.context = 3;
  spec.path = folder.Write("train.bin", Count<T>(300, 310));
  spec.evaluation_path = folder.Write("evaluation.bin", Count<T>(306, 312));
  auto pair = OpenDatasets(spec, 1);
  ASSERT_TRUE(pair.ok()) << pair.error().message;
  EXPECT_EQ(pair->train->size(), 3);
  EXPECT_EQ(pair->evaluation->size(), 1);
  EXPECT_EQ(pair->train->shape().classes, 312) << "largest id of both files + 1";
  Batch batch;
  pair->train->Read(std::vector<int64_t>{2}, batch);
  EXPECT_EQ(batch.ids, (std::vector<int64_t>{306, 307, 308}));
  EXPECT_EQ(batch.labels, (std::vector<int64_t>{307, 308, 309}));
}

TEST(Tokens, ReadsUint16) {
  ExpectReads<uint16_t>(TokenType::kUint16);
}
TEST(Tokens, ReadsUint32) {
  ExpectReads<uint32_t>(TokenType::kUint32);
}

TEST(Tokens, VocabularyOfTheManifestHolds) {
  TemporaryFolder folder;
  DataSpec spec;
  spec.format = DataFormat::kTokens;
  spec.context = 2;
  spec.vocabulary = 5000;
  spec.path = folder.Write("train.bin", Count<uint16_t>(0, 60));
  auto pair = OpenDatasets(spec, 1);
  ASSERT_TRUE(pair.ok()) << pair.error().message;
  EXPECT_EQ(pair->evaluation->shape().classes, 5000);
}

// Without a vocabulary, uint16 data read as uint32 must not ask for a model of billions of outputs.
TEST(Tokens, ImplausibleIdsAreRefusedWithoutAVocabulary) {
  TemporaryFolder folder;
  DataSpec spec;
  spec.format = DataFormat::kTokens;
  spec.token_type = TokenType::kUint32;
  spec.context = 2;
  spec.path = folder.Write("train.bin", Count<uint16_t>(1000, 1100));
  const auto pair = OpenDatasets(spec, 1);
  ASSERT_FALSE(pair.ok());
  EXPECT_NE(pair.error().message.find("byte 0: found token 65602536, expected 0 to 999999"),
            std::string::npos)
      << pair.error().message;
}

}  // namespace
}  // namespace longstride::data
