#include "cli/kubectl/submission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/run_directory.h"
#include "tests/cli/temporary_directory.h"

namespace longstride {
namespace {

using testing::HasSubstr;

class SubmissionTest : public testing::Test {
 protected:
  // A manifest with this metadata.
  Result<Submission> Load(const std::string& metadata, const std::vector<Override>& overrides = {},
                          const std::string& flag = "") const {
    const std::string path = temporary_.path() + "/job.yaml";
    const std::string text = "apiVersion: longstride.dev/v1alpha1\nkind: TrainingJob\nmetadata: {" +
                             metadata +
                             "}\nspec:\n  model: {name: mlp}\n  data: {format: synthetic}\n"
                             "  training: {maxEpochs: 1}\n";
    EXPECT_TRUE(WriteFile(path, text).ok());
    return LoadSubmission(path, overrides, flag);
  }
  static std::string NamespaceOf(const Result<Submission>& submission) {
    return submission.ok() ? submission.value().name_space : submission.error().message;
  }
  TemporaryDirectory temporary_;
  const std::vector<Override> team_b_{{"metadata.namespace", "team-b"}};
};

TEST_F(SubmissionTest, TheManifestOrAChangeNamesTheNamespace) {
  EXPECT_EQ(NamespaceOf(Load("name: a, namespace: team-a")), "team-a");
  EXPECT_EQ(NamespaceOf(Load("name: a", team_b_)), "team-b");
  EXPECT_EQ(NamespaceOf(Load("name: a, namespace: team-a", team_b_)), "team-b");
  EXPECT_EQ(NamespaceOf(Load("name: a, namespace: team-a", {{"metadata.namespace", "null"}})), "");
  EXPECT_EQ(NamespaceOf(Load("name: a")), "");
}

TEST_F(SubmissionTest, TheFlagNamesItWhereTheyDoNotOrAgree) {
  EXPECT_EQ(NamespaceOf(Load("name: a", {}, "team-c")), "team-c");
  EXPECT_EQ(NamespaceOf(Load("name: a, namespace: team-c", {}, "team-c")), "team-c");
}

TEST_F(SubmissionTest, AFlagThatContradictsThemIsAnError) {
  EXPECT_THAT(NamespaceOf(Load("name: a, namespace: team-a", {}, "team-c")),
              HasSubstr("metadata.namespace: \"team-a\" is not that of --namespace \"team-c\""));
  EXPECT_FALSE(Load("name: a", team_b_, "team-c").ok());
}

TEST_F(SubmissionTest, FaultsOfTheManifestAreReported) {
  EXPECT_THAT(NamespaceOf(Load("nam: a")), HasSubstr("metadata.nam"));
}

}  // namespace
}  // namespace longstride
