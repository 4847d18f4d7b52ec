#include "cli/kubectl/status_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace longstride {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr double kNow = 1767323045;  // 2026-01-02T03:04:05Z

json Job() {
  return json::parse(R"({
    "metadata": {"name": "fashion-mnist", "namespace": "team-a",
                 "creationTimestamp": "2026-01-02T03:00:05Z"},
    "status": {
      "state": "Running", "ready": "4/4", "readyReplicas": 4, "replicas": 4, "restarts": 1,
      "round": 12, "samples": 131072, "epoch": 2.184, "globalBatch": 562, "localSteps": 64,
      "loss": 0.24531, "accuracy": 0.8952, "communicationPercent": 3.5, "bytesSent": 118000000,
      "conditions": [{"type": "Running", "status": "True", "reason": "Training",
                      "message": "4 workers train"}],
      "lastCheckpoint": {"round": 10, "time": "2026-01-02T03:03:53Z"},
      "lastFailure": {"worker": "worker-2", "reason": "OOMKilled", "time": "2026-01-02T03:02:05Z"},
      "groups": [{"name": "worker", "replicas": 4, "ready": 4,
                  "profile": {"alphaSeconds": 0.002, "betaSeconds": 0.0001,
                              "microBatchCap": 512, "share": 1}}],
      "startTime": "2026-01-02T03:01:05Z"
    }})");
}

TEST(StatusText, ShowsAJobInFull) {
  EXPECT_EQ(RenderJob(Job(), {}, kNow),
            "  job            fashion-mnist in team-a\n"
            "  state          Running (Training: 4 workers train)\n"
            "  workers        4/4 ready, 1 replaced\n"
            "  progress       round 12, 131,072 samples, epoch 2.18\n"
            "  learning       loss 0.2453, accuracy 89.52 %\n"
            "  batch          562 samples a step, 64 local steps a round\n"
            "  communication  3.5 % of the workers' time, 118 MB sent\n"
            "  checkpoint     after round 10, 12.0 s ago\n"
            "  last failure   worker-2 OOMKilled, 2m00s ago\n"
            "  started        3m00s ago\n"
            "\n"
            "  GROUP   READY  SHARE  STEP    PER SAMPLE  MICRO-BATCH\n"
            "  worker  4/4    100 %  2.0 ms  100 µs      512\n");
}

TEST(StatusText, ShowsTheLastEventsOldestFirst) {
  std::vector<json> events;
  for (int i = 6; i >= 1; --i) {
    events.push_back({{"reason", "Reason" + std::to_string(i)},
                      {"message", "text"},
                      {"lastTimestamp", "2026-01-02T03:04:0" + std::to_string(i % 6) + "Z"}});
  }
  const std::string text = RenderJob(Job(), events, kNow);
  EXPECT_THAT(text, Not(HasSubstr("Reason6")));  // at second 0, the oldest of six
  EXPECT_LT(text.find("Reason1"), text.find("Reason5"));
}

// Of a job with these conditions: what its second row says.
std::string StateOf(const std::string& state, const std::vector<json>& conditions) {
  json job = Job();
  job["status"]["state"] = state;
  job["status"]["conditions"] = conditions;
  const std::string text = RenderJob(job, {}, kNow);
  const std::string label = "  state          ";
  const size_t at = text.find(label) + label.size();
  return text.substr(at, text.find('\n', at) - at);
}

json MakeCondition(const std::string& type, bool holds, const std::string& reason,
                   const std::string& message) {
  return {{"type", type},
          {"status", holds ? "True" : "False"},
          {"reason", reason},
          {"message", message}};
}

TEST(StatusText, SaysWhyAJobDoesNotRun) {
  const json waits = MakeCondition("Running", false, "QuotaExceeded", "exceeded quota: team");
  EXPECT_EQ(StateOf("Starting", {waits}), "Starting (QuotaExceeded: exceeded quota: team)");
  const json restarts =
      MakeCondition("Restarting", true, "WorkersReplaced", "started anew: worker-1");
  EXPECT_EQ(StateOf("Restarting", {waits, restarts}),
            "Restarting (WorkersReplaced: started anew: worker-1; QuotaExceeded: exceeded quota: "
            "team)");
  const json runs = MakeCondition("Running", true, "Training", "3 workers train");
  EXPECT_EQ(StateOf("Restarting", {runs, restarts}),
            "Restarting (WorkersReplaced: started anew: worker-1)");
}

TEST(StatusText, OfAJobThatIsOverOrSuspendedSaysThatAlone) {
  for (const char* type : {"Failed", "Complete", "Suspended"}) {
    const json runs = MakeCondition("Running", false, "Because", "of that");
    EXPECT_EQ(StateOf(type, {runs, MakeCondition(type, true, "Reason", "message")}),
              std::string(type) + " (Reason: message)");
  }
}

TEST(StatusText, SaysWhenAJobTriesAgain) {
  json job = Job();
  EXPECT_THAT(RenderJob(job, {}, kNow), Not(HasSubstr("next attempt")));
  job["status"]["retryTime"] = "2026-01-02T03:04:35Z";
  EXPECT_THAT(RenderJob(job, {}, kNow), HasSubstr("  next attempt   in 30.0 s\n"));
  EXPECT_THAT(RenderJob(job, {}, kNow + 60), HasSubstr("  next attempt   now\n"));
}

TEST(StatusText, OfAJobThatNobodyHasLookedAt) {
  const json job{{"metadata", {{"name", "a"}, {"namespace", "b"}}}};
  EXPECT_THAT(RenderJob(job, {}, kNow), HasSubstr("not looked at yet"));
  EXPECT_EQ(ProgressLine(job), "not looked at yet");
}

TEST(StatusText, ListsJobs) {
  const std::string text = RenderJobs({Job()}, kNow);
  EXPECT_THAT(text, HasSubstr("NAME"));
  EXPECT_THAT(text, HasSubstr("fashion-mnist  Running  4/4    round 12, 131,072 samples"));
  EXPECT_THAT(text, HasSubstr("4m00s ago"));
}

TEST(StatusText, BearsAnyStatus) {
  for (const char* status : {"[]", "null", "7", R"({"conditions": 3, "groups": {"a": 1}})",
                             R"({"conditions": [null, 3], "groups": [7], "round": "x"})"}) {
    const json job{{"metadata", {{"name", "a"}}}, {"status", json::parse(status)}};
    EXPECT_THAT(RenderJob(job, {json(), json(3)}, kNow), HasSubstr("job"));
    EXPECT_FALSE(Holds(job, "Complete"));
  }
}

}  // namespace
}  // namespace longstride
