#include "core/spec/parse.h"

#include <gmock/gmock.h>

#include "tests/core/spec/spec_testing.h"

namespace longstride {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string FaultsWith(const std::string& path, const std::string& value) {
  return FaultsOf(ParseTrainingJob(Minimal(), "t", {{path, value}}));
}

TEST(Override, SplitsAtTheFirstEquals) {
  const Result<Override> override = ParseOverride("data.path=/a=b");
  EXPECT_EQ(override->path, "data.path");
  EXPECT_EQ(override->value, "/a=b");
  EXPECT_FALSE(ParseOverride("training.seed").ok());
  EXPECT_FALSE(ParseOverride("=3").ok());
}

TEST(Override, SetsFieldsWithOrWithoutSpec) {
  const TrainingJob job = MustParse(Minimal(), {{"training.localSteps.steps", "8"},
                                                {"spec.seed", "7"},
                                                {"metadata.name", "other"},
                                                {"model.cnn.channels", "[4, 8]"},
                                                {"data.path", "2024"},
                                                {"workers[0].maxReplicas", "9"}});
  EXPECT_EQ(job.spec.training.local_steps.steps, 8);
  EXPECT_EQ(job.spec.seed, 7);
  EXPECT_EQ(job.metadata.name, "other");
  EXPECT_THAT(job.spec.model.cnn.channels, ElementsAre(4, 8));
  EXPECT_EQ(job.spec.data.path, "2024");
  EXPECT_EQ(job.spec.workers[0].max_replicas, 9);
}

TEST(Override, ReplacesWhatTheManifestSays) {
  EXPECT_EQ(MustParse(Minimal("", "  seed: 1\n"), {{"seed", "2"}}).spec.seed, 2);
}

TEST(Override, NullRemovesAField) {
  const std::string text = Minimal("    localSteps: {policy: qsr, maxSteps: 64}\n");
  const TrainingJob job = MustParse(text, {{"training.localSteps.policy", "constant"},
                                           {"training.localSteps.maxSteps", "null"}});
  EXPECT_EQ(job.spec.training.local_steps.max_steps, 1024);
  EXPECT_EQ(MustParse(text, {{"training.gradientClipping", "null"}}).spec.replicas, 4);
}

TEST(Override, IsValidatedLikeTheManifest) {
  EXPECT_EQ(FaultsWith("training.localSteps.stps", "8"),
            "--set training.localSteps.stps=8: spec.training.localSteps.stps: unknown field; "
            "did you mean \"steps\"?");
  EXPECT_EQ(FaultsWith("traning.seed", "8"),
            "--set traning.seed=8: spec.traning: unknown field; did you mean \"training\"?");
  EXPECT_EQ(FaultsWith("replicas", "four"),
            "--set replicas=four: spec.replicas: expected an integer, got \"four\"");
  EXPECT_EQ(FaultsWith("training.bogus", "null"),
            "--set training.bogus=null: spec.training.bogus: unknown field; fields here: precision, "
            "maxSamples, maxEpochs, optimizer, learningRate, gradientClipping, localSteps, batch, "
            "synchronization");
  EXPECT_THAT(FaultsWith("seed", ""), HasSubstr("spec.seed: needs a value"));
  EXPECT_THAT(FaultsWith("data.path.x", "1"), HasSubstr("could hold \"x\""));
  EXPECT_THAT(FaultsWith("workers[3].name", "x"), HasSubstr("no entry [3]"));
  EXPECT_THAT(FaultsWith("training..seed", "1"), HasSubstr("not a field path"));
  EXPECT_THAT(FaultsWith("workers[", "1"), HasSubstr("no entry ["));
  EXPECT_THAT(FaultsWith("training.batch", "["), HasSubstr("is a bracket left open?"));
}

}  // namespace
}  // namespace longstride
