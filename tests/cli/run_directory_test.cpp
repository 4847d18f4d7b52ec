#include "cli/run_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "core/protocol/json.h"
#include "tests/cli/temporary_directory.h"

namespace longstride {
namespace {

using testing::HasSubstr;

TEST(RunDirectory, RefusesToOverwriteARun) {
  TemporaryDirectory temporary;
  const RunDirectory run(temporary.path() + "/a/b");
  ASSERT_TRUE(run.Create().ok());
  EXPECT_FALSE(run.CheckExists().ok());
  ASSERT_TRUE(WriteFile(run.job(), "x").ok());
  ASSERT_TRUE(WriteFile(run.rounds(), "").ok());
  EXPECT_TRUE(run.CheckExists().ok());
  const Status again = run.Create();
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kUser);
  EXPECT_THAT(again.error().message, HasSubstr("--resume"));
}

TEST(RunDirectory, TheDefaultNameHoldsJobAndTime) {
  EXPECT_EQ(DefaultRunPath("smoke", 1764000000), "runs/smoke-20251124-160000");
}

TEST(RunDirectory, FactsSurviveAndBrokenOnesAreDataErrors) {
  TemporaryDirectory temporary;
  const std::string path = temporary.path() + "/run.json";
  ASSERT_TRUE(WriteFacts(path, {1, 2}).ok());
  const auto facts = ReadFacts(path);
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts.value().parameters, 1);
  EXPECT_EQ(facts.value().train_samples, 2);
  for (const char* broken : {"", "[]", "{\"parameters\": \"many\"}", "{\"parameters\": 1}"}) {
    ASSERT_TRUE(WriteFile(path, broken).ok());
    const auto result = ReadFacts(path);
    ASSERT_FALSE(result.ok()) << broken;
    EXPECT_EQ(result.error().code, ErrorCode::kData) << broken;
  }
}

TEST(ReadPlans, TheLastOfAVersionHoldsAndATornLineIsForgiven) {
  TemporaryDirectory temporary;
  const std::string path = temporary.path() + "/plans.jsonl";
  auto line = [](int64_t version, int64_t first_round) {
    Plan plan;
    plan.version = version;
    plan.first_round = first_round;
    plan.shares.resize(1);
    return ToJsonText(plan) + "\n";
  };
  ASSERT_TRUE(WriteFile(path, line(1, 1) + line(2, 10) + line(2, 14) + "{\"version\":3,\"fi").ok());
  const auto plans = ReadPlans(path);
  ASSERT_TRUE(plans.ok()) << plans.error().message;
  ASSERT_EQ(plans.value().size(), 2u);
  EXPECT_EQ(plans.value()[1].first_round, 14);
  EXPECT_TRUE(ReadPlans(temporary.path() + "/none").ok());
}

TEST(WriteFile, ASecretIsReadableByItsOwnerOnly) {
  TemporaryDirectory temporary;
  const std::string path = temporary.path() + "/token";
  ASSERT_TRUE(WriteFile(path, "old").ok());
  ASSERT_TRUE(WriteFile(path, "secret", true).ok());
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST(WriteFile, WhatWasThereStaysWhereItFails) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/facts";
  ASSERT_TRUE(WriteFile(path, "old").ok());
  std::filesystem::create_directory(path + ".part");
  EXPECT_FALSE(WriteFile(path, "new").ok());
  EXPECT_EQ(ReadFile(path).value(), "old");
}

TEST(TailOf, GivesTheLastLines) {
  TemporaryDirectory temporary;
  const std::string path = temporary.path() + "/log";
  EXPECT_EQ(TailOf(path, 3), "");
  ASSERT_TRUE(WriteFile(path, "one\ntwo\nthree\n").ok());
  EXPECT_EQ(TailOf(path, 2), "two\nthree");
  EXPECT_EQ(TailOf(path, 9), "one\ntwo\nthree");
  ASSERT_TRUE(WriteFile(path, std::string(200000, 'x') + "\nlast").ok());
  EXPECT_EQ(TailOf(path, 1), "last");
}

}  // namespace
}  // namespace longstride
