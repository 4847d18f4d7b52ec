#include "cli/kubectl/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/spec/parse.h"
#include "tests/cli/kubectl/fake_job_api.h"

namespace longstride {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr const char* kManifest = R"(
apiVersion: longstride.dev/v1alpha1
kind: TrainingJob
metadata: {name: a, uid: "1", resourceVersion: "7"}
spec:
  model: {name: mlp}
  data: {format: synthetic}
  training: {maxEpochs: 1}
)";

json Job(const std::string& state, const json& conditions = json::array(), const json& more = {}) {
  json job{{"metadata", {{"name", "a"}, {"namespace", "n"}, {"generation", 2}}},
           {"status", {{"state", state}, {"observedGeneration", 2}, {"conditions", conditions}}}};
  if (more.is_object()) job["status"].update(more);
  return job;
}

// A list of conditions with this one in it.
json Only(const std::string& type, const std::string& reason, const std::string& message) {
  return json::array(
      {{{"type", type}, {"status", "True"}, {"reason", reason}, {"message", message}}});
}

json Pod(const std::string& group, int index, int incarnation) {
  const std::string i = std::to_string(index), n = std::to_string(incarnation);
  return {{"metadata",
           {{"name", "a-" + group + "-" + i + "-" + n},
            {"labels",
             {{"longstride.dev/group", group},
              {"longstride.dev/index", i},
              {"longstride.dev/incarnation", n}}}}}};
}

class Commands : public testing::Test {
 protected:
  TextSink Out() {
    return [this](const std::string& text) { out_ += text; };
  }
  FakeJobApi api_;
  std::string out_;
};

TEST_F(Commands, SubmitCreatesTheJobWithoutWhatAServerHasSetOnAnother) {
  const ParsedJob parsed = ParseTrainingJob(kManifest, "a.yaml");
  ASSERT_TRUE(parsed.ok());
  ASSERT_TRUE(SubmitJob(api_, *parsed.job, Out()).ok());
  const json& made = api_.jobs["a"];
  EXPECT_FALSE(made["metadata"].contains("uid"));
  EXPECT_FALSE(made["metadata"].contains("resourceVersion"));
  EXPECT_EQ(made["spec"]["model"]["name"], "mlp");
  EXPECT_EQ(out_, "trainingjob a submitted to default\n");
  EXPECT_THAT(SubmitJob(api_, *parsed.job, Out()).error().message, HasSubstr("already exists"));
}

TEST_F(Commands, WaitingEndsWithTheJobAndSaysEachStateOnce) {
  api_.jobs["a"] = Job("Starting");
  api_.changes = {Job("Starting"), Job("Running"),
                  Job("Complete", Only("Complete", "TargetReached", "accuracy 0.9")), Job("Never")};
  EXPECT_TRUE(AwaitEnd(api_, "a", {}, Out()).ok());
  EXPECT_EQ(out_, "Starting\nRunning\nComplete\n");
}

TEST_F(Commands, WaitingForAJobThatFailsFailsWithItsReason) {
  api_.jobs["a"] = Job("Failed", Only("Failed", "UserError", "no such file: /data"));
  EXPECT_EQ(AwaitEnd(api_, "a", {}, Out()).error().message,
            "a failed: UserError: no such file: /data");
}

TEST_F(Commands, AJobThatHasEndedOrTakesTooLongIsDeletedIfAskedFor) {
  const json failed = Only("Failed", "UserError", "no such file");
  for (const json& last : {Job("Complete", Only("Complete", "Completed", "")),
                           Job("Failed", failed), Job("Running")}) {
    api_.jobs["a"] = Job("Running");
    api_.changes = {last};
    const bool complete = last["status"]["state"] == "Complete";
    EXPECT_EQ(AwaitEndAndDelete(api_, "a", {}, Out()).ok(), complete) << last;
    EXPECT_FALSE(api_.jobs.contains("a")) << last;
  }
}

TEST_F(Commands, AJobThatIsOnlyLostSightOfIsNotDeleted) {
  api_.jobs["a"] = Job("Running");
  for (const Error& error : {UserError("Forbidden"), InterruptedError("stopped")}) {
    api_.watch_error = error;
    EXPECT_EQ(AwaitEndAndDelete(api_, "a", {}, Out()).error().code, error.code);
    EXPECT_TRUE(api_.jobs.contains("a"));
  }
}

TEST_F(Commands, AnotherJobThatTookTheNameIsNeitherFollowedNorDeleted) {
  api_.jobs["a"] = Job("Running");
  api_.jobs["a"]["metadata"]["uid"] = "1";
  json other = Job("Complete", Only("Complete", "Completed", ""));
  other["metadata"]["uid"] = "2";
  api_.changes = {other};
  WaitOptions options;
  options.uid = "1";
  EXPECT_THAT(AwaitEndAndDelete(api_, "a", options, Out()).error().message,
              HasSubstr("another job of that name"));
  EXPECT_TRUE(api_.jobs.contains("a"));
  EXPECT_FALSE(CancelJob(api_, "a", Out(), "2").ok());
}

TEST_F(Commands, SuspendWaitsUntilTheWorkersAreGone) {
  api_.jobs["a"] = Job("Running", Only("Running", "Training", ""));
  const json suspended = Only("Suspended", "Suspended", "");
  json stale = Job("Suspended", suspended);  // of an earlier suspend
  stale["status"]["observedGeneration"] = 1;
  api_.changes = {stale, Job("Suspended", suspended, {{"readyReplicas", 2}}),
                  Job("Suspended", suspended, {{"readyReplicas", 0}})};
  EXPECT_TRUE(SetSuspended(api_, "a", true, true, {}, Out()).ok());
  EXPECT_THAT(api_.patches, ElementsAre(R"(a/: {"spec":{"runPolicy":{"suspend":true}}})"));
  EXPECT_EQ(out_, "a is to suspend\na is suspended\n");
  api_.changes.pop_back();
  EXPECT_EQ(SetSuspended(api_, "a", true, true, {}, Out()).error().code, ErrorCode::kTransient);
}

TEST_F(Commands, ResumingAJobThatHasEndedFails) {
  api_.jobs["a"] = Job("Complete", Only("Complete", "TargetReached", ""));
  EXPECT_EQ(SetSuspended(api_, "a", false, true, {}, Out()).error().message,
            "a has ended: TargetReached");
}

TEST_F(Commands, ScaleUsesTheScaleSubresource) {
  api_.jobs["a"] = Job("Running");
  ASSERT_TRUE(ScaleJob(api_, "a", 6, Out()).ok());
  EXPECT_THAT(api_.patches, ElementsAre(R"(a/scale: {"spec":{"replicas":6}})"));
}

TEST_F(Commands, CancelDeletes) {
  api_.jobs["a"] = Job("Running");
  EXPECT_TRUE(CancelJob(api_, "a", Out()).ok());
  EXPECT_TRUE(api_.jobs.empty());
  EXPECT_THAT(CancelJob(api_, "a", Out()).error().message, HasSubstr("not found"));
}

TEST_F(Commands, LogsAreThoseOfTheNewestPodOfEachWorker) {
  api_.pods = {Pod("worker", 1, 1), Pod("worker", 0, 9), Pod("worker", 0, 10)};
  api_.logs = {{"a-worker-0-9", {"old"}}, {"a-worker-0-10", {"x", "y"}}, {"a-worker-1-1", {"z"}}};
  EXPECT_TRUE(ShowLogs(api_, "a", "", {}, {}, Out()).ok());
  EXPECT_EQ(out_, "worker-0: x\nworker-0: y\nworker-1: z\n");
  out_.clear();
  EXPECT_TRUE(ShowLogs(api_, "a", "worker-0", {false, 1}, {}, Out()).ok());
  EXPECT_EQ(out_, "y\n");
  EXPECT_EQ(ShowLogs(api_, "a", "worker-7", {}, {}, Out()).error().message,
            "a has no worker \"worker-7\"; it has worker-0, worker-1");
}

TEST_F(Commands, FollowedLogsOfAllWorkersAreWholeLines) {
  api_.pods = {Pod("worker", 0, 1), Pod("worker", 1, 1)};
  api_.logs = {{"a-worker-0-1", {"x"}}, {"a-worker-1-1", {"z"}}};
  std::vector<std::string> lines;
  const TextSink sink = [&](const std::string& text) { lines.push_back(text); };
  EXPECT_TRUE(ShowLogs(api_, "a", "", {true, {}}, {}, sink).ok());
  EXPECT_THAT(lines, UnorderedElementsAre("worker-0: x\n", "worker-1: z\n"));
}

TEST_F(Commands, StatusListsOrShowsOne) {
  EXPECT_TRUE(ShowStatus(api_, "", 0, Out()).ok());
  EXPECT_EQ(out_, "no training jobs here\n");
  api_.jobs["a"] = Job("Running");
  EXPECT_TRUE(ShowStatus(api_, "", 0, Out()).ok());
  EXPECT_THAT(out_, HasSubstr("Running"));
  EXPECT_FALSE(ShowStatus(api_, "b", 0, Out()).ok());
}

}  // namespace
}  // namespace longstride
