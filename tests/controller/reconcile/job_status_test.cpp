#include "controller/reconcile/job_status.h"

#include <gtest/gtest.h>

#include "core/base/timestamps.h"

namespace longstride {
namespace {

JobStatus Full() {
  JobStatus status;
  status.observed_generation = 3;
  status.state = "Running";
  status.Set(kRunning, true, "Training", "4 workers train", 1'790'000'000);
  status.replicas = 4;
  status.ready_replicas = 3;
  status.selector = "longstride.dev/job-name=demo";
  status.progress.round = 7;
  status.progress.samples = 70'000;
  status.progress.epoch = 1.25;
  status.progress.global_batch = 256;
  status.progress.local_steps = 16;
  status.progress.loss = 0.125;
  status.progress.accuracy = 0.9;
  status.progress.bytes_sent = int64_t{1} << 40;
  status.progress.communication_percent = 12.5;
  status.progress.totals = {{1, 2, 3, 4, 5, int64_t{1} << 40}, 700, {0.5, 60, 8, 1, 2, 3}};
  status.last_checkpoint = CheckpointRecord{5, 50'000, 1'790'000'001};
  status.discarded_samples = 10;
  status.restarts = 2;
  status.last_failure = LastFailure{"worker-1", "demo-worker-1-2", "node-1",     "Killed",
                                    137,        "signal 9",        1'790'000'002};
  status.groups = {{"worker", 4, 3, {{2, 1, 1, 1'790'000'000}, {1, 0, 0, 0}}, 0.01, 0.001, 64, 1}};
  status.spec_hash = "0123456789abcdef";
  status.start_time = 1'790'000'000;
  status.completion_time = 1'790'000'009;
  status.waiting_since = 1'790'000'003;
  status.retry_time = 1'790'000'004;
  status.stop_requested = 1'790'000'005;
  status.start_attempts = 2;
  return status;
}

TEST(JobStatusJson, GivesTheSameStatusBack) {
  EXPECT_EQ(StatusFromJson(ToJson(Full())), Full());
  EXPECT_EQ(StatusFromJson(ToJson(JobStatus{})), JobStatus{});
}

TEST(JobStatusJson, SaysItInTheWordsOfKubernetes) {
  const nlohmann::json json = ToJson(Full());
  EXPECT_EQ(json["conditions"][0]["status"], "True");
  EXPECT_EQ(json["conditions"][0]["lastTransitionTime"], "2026-09-21T14:13:20Z");
  EXPECT_EQ(json["ready"], "3/4");
  EXPECT_EQ(json["groups"][0]["incarnations"], nlohmann::json({2, 1}));
  EXPECT_EQ(json["totals"]["sentBytes"]["statistics"], 2);
  EXPECT_EQ(json["totals"]["activitySeconds"]["communication"], 8);
}

// kubectl wait takes no condition that was said of an earlier generation.
TEST(JobStatusJson, EveryConditionIsSaidOfTheGenerationThatWasLookedAt) {
  JobStatus status = Full();
  status.Set(kRestarting, false, "NotRestarting", "", 1'790'000'000);
  for (const int64_t generation : {3, 4}) {
    status.observed_generation = generation;
    const nlohmann::json json = ToJson(status);
    for (const nlohmann::json& condition : json["conditions"])
      EXPECT_EQ(condition["observedGeneration"], generation);
  }
}

TEST(JobStatusJson, WhatIsNoStatusIsAnEmptyOne) {
  for (const char* text : {"null", "[]", "3", R"({"conditions": 7, "groups": [1, {"ended": "x"}]})",
                           R"({"round": "many", "lastFailure": [], "startTime": "yesterday"})",
                           R"({"totals": {"sentBytes": [1], "activitySeconds": {"data": "x"}}})",
                           R"({"groups": [{"name": "a", "incarnations": [1, "x", null]}]})"}) {
    const JobStatus status = StatusFromJson(nlohmann::json::parse(text));
    EXPECT_EQ(status.progress.round, 0) << text;
    EXPECT_EQ(status.start_time, 0) << text;
    EXPECT_EQ(status.progress.totals, JobTotals{}) << text;
  }
}

TEST(JobTotals, TheGreaterIsTakenOfEachFigure) {
  const JobTotals a = {{1, 20}, 700, {.data = 1, .compute = 60}};
  const JobTotals b = {{10, 2}, 600, {.data = 2, .compute = 50}};
  const JobTotals both = {{10, 20}, 700, {.data = 2, .compute = 60}};
  EXPECT_EQ(Greater(a, b), both);
  EXPECT_EQ(Greater(b, a), both);
}

TEST(JobStatus, ProgressIsNoNewsAndConditionsAre) {
  const JobStatus before = Full();
  JobStatus after = before;
  after.progress.round = 8;
  after.last_checkpoint->round = 8;
  EXPECT_FALSE(DiffersAtOnce(before, after));
  after.Set(kRunning, false, "WaitingForWorkers", "", 1'790'000'010);
  EXPECT_TRUE(DiffersAtOnce(before, after));
}

TEST(JobStatus, AConditionsTimeIsThatOfItsLastChange) {
  JobStatus status;
  status.Set(kRunning, true, "Training", "", 100);
  status.Set(kRunning, true, "Training", "with more workers", 200);
  EXPECT_EQ(status.Find(kRunning)->since, 100);
  status.Set(kRunning, false, "Completed", "", 300);
  EXPECT_EQ(status.Find(kRunning)->since, 300);
}

TEST(JobStatus, TimesAreInWholeSecondsOfUtc) {
  EXPECT_EQ(FormatTime(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(FromTime("2026-11-24T13:00:00Z"), FromTime("2026-11-24T13:00:00.250000Z"));
  EXPECT_EQ(FromTime(""), 0);
  EXPECT_EQ(FromTime("soon"), 0);
}

}  // namespace
}  // namespace longstride
