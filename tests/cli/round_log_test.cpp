#include "cli/round_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/cli/round_records.h"
#include "tests/cli/temporary_directory.h"

namespace longstride {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<int64_t> RoundsOf(const RoundHistory& history) {
  std::vector<int64_t> rounds;
  for (const RoundRecord& record : history.rounds) rounds.push_back(record.common().round);
  return rounds;
}

std::string Lines(std::initializer_list<int64_t> rounds) {
  std::string text;
  for (int64_t round : rounds) text += ToJsonLine(MakeRecord(round)) + "\n";
  return text;
}

TEST(ParseRoundLog, AVoidRecordTakesBackLaterRounds) {
  const auto history =
      ParseRoundLog(Lines({1, 2, 3, 4}) + "{\"time\":1,\"voidAfterRound\":2}\n" + Lines({3}), "f");
  ASSERT_TRUE(history.ok()) << history.error().message;
  EXPECT_THAT(RoundsOf(history.value()), ElementsAre(1, 2, 3));
  EXPECT_EQ(history.value().voided, 2);
}

TEST(ParseRoundLog, ATornLastLineIsForgiven) {
  const std::string text = Lines({1, 2, 3});
  const auto history = ParseRoundLog(text.substr(0, text.size() - 20), "f");
  ASSERT_TRUE(history.ok()) << history.error().message;
  EXPECT_THAT(RoundsOf(history.value()), ElementsAre(1, 2));
  EXPECT_EQ(history.value().torn, 1);
}

TEST(ParseRoundLog, ATornLineBeforeAResumedStartIsForgiven) {
  const std::string torn = Lines({3}).substr(0, 30) + "\n";
  for (const std::string& rest :
       {Lines({3, 4}), "{\"voidAfterRound\":1,\"time\":1}\n" + Lines({2, 3, 4})}) {
    const auto history = ParseRoundLog(Lines({1, 2}) + torn + rest, "f");
    ASSERT_TRUE(history.ok()) << history.error().message;
    EXPECT_THAT(RoundsOf(history.value()), ElementsAre(1, 2, 3, 4));
  }
}

TEST(ParseRoundLog, AMissingRoundIsAnErrorThatNamesTheLine) {
  const auto history = ParseRoundLog(Lines({1, 2, 4}), "rounds.jsonl");
  ASSERT_FALSE(history.ok());
  EXPECT_EQ(history.error().code, ErrorCode::kData);
  EXPECT_THAT(history.error().message, HasSubstr("rounds.jsonl:3"));
}

TEST(ParseRoundLog, RoundsThatNobodyCouldReportAreNamed) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/rounds.jsonl";
  auto file = LineFile::OpenForAppend(path);
  ASSERT_TRUE(file.ok());
  RoundLogWriter writer(std::move(file.value()), 0);
  for (const int64_t round : {1, 2, 5, 6}) ASSERT_TRUE(writer.Append(MakeRecord(round)).ok());
  const auto history = ReadRoundLog(path);
  ASSERT_TRUE(history.ok()) << history.error().message;
  EXPECT_THAT(RoundsOf(history.value()), ElementsAre(1, 2, 5, 6));
}

TEST(ParseRoundLog, TwoBrokenLinesAreAnError) {
  const auto history = ParseRoundLog(Lines({1}) + "garbage\nmore\n" + Lines({2}), "rounds.jsonl");
  ASSERT_FALSE(history.ok());
  EXPECT_THAT(history.error().message, HasSubstr("rounds.jsonl:2"));
}

TEST(RoundLogWriter, AResumedRunVoidsWhatItRunsAgain) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/rounds.jsonl";
  auto write = [&](int64_t last, std::initializer_list<int64_t> rounds) {
    auto file = LineFile::OpenForAppend(path);
    ASSERT_TRUE(file.ok()) << file.error().message;
    RoundLogWriter writer(std::move(*file), last);
    for (int64_t round : rounds) ASSERT_TRUE(writer.Append(MakeRecord(round)).ok());
  };
  write(0, {1, 2, 3, 4, 5});
  write(5, {4, 5, 6});
  write(6, {7});
  const auto history = ReadRoundLog(path);
  ASSERT_TRUE(history.ok()) << history.error().message;
  EXPECT_THAT(RoundsOf(history.value()), ElementsAre(1, 2, 3, 4, 5, 6, 7));
  EXPECT_EQ(history.value().voided, 2);
}

TEST(LineFile, EndsATornLineFirst) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/f";
  std::ofstream(path) << "whole\nto";
  auto file = LineFile::OpenForAppend(path);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Append("next").ok());
  std::ifstream in(path);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  EXPECT_EQ(text, "whole\nto\nnext\n");
}

TEST(ReadRoundLog, AMissingFileIsAUserError) {
  const auto history = ReadRoundLog("/does/not/exist/rounds.jsonl");
  ASSERT_FALSE(history.ok());
  EXPECT_EQ(history.error().code, ErrorCode::kUser);
}

}  // namespace
}  // namespace longstride
