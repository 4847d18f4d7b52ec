// What is read of a pod as the API server sends it.
#include "controller/reconcile/observed.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

nlohmann::json Pod(const char* status) {
  nlohmann::json pod = nlohmann::json::parse(R"({
    "metadata": {"name": "demo-worker-2-3", "uid": "p1", "creationTimestamp": "2026-11-24T13:00:00Z",
      "labels": {"longstride.dev/group": "worker", "longstride.dev/index": "2",
                 "longstride.dev/incarnation": "3"},
      "ownerReferences": [{"uid": "other"}, {"uid": "job", "controller": true}]},
    "spec": {"nodeName": "node-1"}})");
  pod["status"] = nlohmann::json::parse(status);
  return pod;
}

TEST(ViewOfPod, KnowsWhoseWorkerItIs) {
  const auto view = ViewOfPod(Pod("{}"), "job");
  ASSERT_TRUE(view);
  EXPECT_EQ(view->place, (WorkerPlace{"worker", 2}));
  EXPECT_EQ(view->incarnation, 3);
  EXPECT_TRUE(view->ours);
  EXPECT_EQ(view->node, "node-1");
  EXPECT_FALSE(ViewOfPod(Pod("{}"), "another job")->ours);
}

TEST(ViewOfPod, APodWithoutItsLabelsIsNoWorker) {
  nlohmann::json pod = Pod("{}");
  pod["metadata"]["labels"]["longstride.dev/index"] = "two";
  EXPECT_FALSE(ViewOfPod(pod, "job"));
  EXPECT_FALSE(ViewOfPod(nlohmann::json::array(), "job"));
  EXPECT_FALSE(ViewOfPod(nullptr, "job"));
}

TEST(ViewOfPod, ReadsTheWorkersContainerAndNoOther) {
  const auto view = ViewOfPod(Pod(R"({"phase": "Running", "containerStatuses": [
    {"name": "sidecar", "state": {"running": {}}},
    {"name": "worker", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled",
      "message": "last words", "finishedAt": "2026-11-24T13:00:05Z"}}}]})"),
                              "job");
  EXPECT_EQ(view->worker, PodView::Container::kTerminated);
  EXPECT_EQ(view->exit_code, 137);
  EXPECT_EQ(view->worker_reason, "OOMKilled");
  EXPECT_EQ(view->finished - view->created, 5);
  EXPECT_FALSE(view->ended()) << "its sidecar runs on";
}

TEST(ViewOfPod, HasEndedWithItsLastContainer) {
  const auto view = ViewOfPod(Pod(R"({"phase": "Running", "containerStatuses": [
    {"name": "sidecar", "state": {"terminated": {"exitCode": 0}}},
    {"name": "worker", "state": {"terminated": {"exitCode": 0}}}]})"),
                              "job");
  EXPECT_TRUE(view->ended());
}

TEST(ViewOfPod, ReadsWhyItDoesNotStart) {
  auto view = ViewOfPod(Pod(R"({"phase": "Pending", "containerStatuses": [
    {"name": "worker", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such"}}}]})"),
                        "job");
  EXPECT_EQ(view->worker, PodView::Container::kWaiting);
  EXPECT_EQ(view->worker_reason, "ErrImagePull");
  view = ViewOfPod(Pod(R"({"phase": "Pending", "conditions": [
    {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gated"}]})"),
                   "job");
  EXPECT_EQ(view->unscheduled_reason, "SchedulingGated");
  EXPECT_EQ(view->worker, PodView::Container::kNone);
}

TEST(ViewOfPod, KeepsTheEndOfALongMessageOfAWorkerThatHasEnded) {
  nlohmann::json pod = Pod(R"({"phase": "Failed", "containerStatuses": [
    {"name": "worker", "state": {"terminated": {"exitCode": 2}}}]})");
  pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"] =
      std::string(4000, '.') + "data.path: /data is empty\n\n";
  const auto view = ViewOfPod(pod, "job");
  EXPECT_EQ(view->worker_message.size(), 303U);
  EXPECT_TRUE(view->worker_message.ends_with("data.path: /data is empty"));
}

// A pod whose worker waits for its init containers: `fetch`, and `proxy`, which is a sidecar.
PodView ViewWithInit(const char* phase, const char* init_statuses, const char* worker_state) {
  nlohmann::json pod = Pod("{}");
  pod["spec"]["initContainers"] =
      nlohmann::json::parse(R"([{"name": "proxy", "restartPolicy": "Always"}, {"name": "fetch"}])");
  pod["status"]["phase"] = phase;
  pod["status"]["initContainerStatuses"] = nlohmann::json::parse(init_statuses);
  nlohmann::json worker = {{"name", "worker"}, {"state", nlohmann::json::parse(worker_state)}};
  pod["status"]["containerStatuses"].push_back(std::move(worker));
  return *ViewOfPod(pod, "job");
}
constexpr const char* kInitializing = R"({"waiting": {"reason": "PodInitializing"}})";

TEST(ViewOfPod, AnInitContainerThatCannotStartIsWhatTheWorkerWaitsFor) {
  PodView view = ViewWithInit("Pending", R"([{"name": "proxy", "state": {"running": {}}},
    {"name": "fetch", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such"}}}])",
                              kInitializing);
  EXPECT_EQ(view.worker, PodView::Container::kWaiting);
  EXPECT_EQ(view.worker_reason, "ErrImagePull");
  EXPECT_EQ(view.worker_message, "init container fetch: no such");
  view = ViewWithInit("Pending", R"([{"name": "proxy", "state": {"running": {}}},
    {"name": "fetch", "state": {"waiting": {"reason": "PodInitializing"}}}])",
                      kInitializing);
  EXPECT_EQ(view.worker_reason, "PodInitializing");
}

TEST(ViewOfPod, WhatASidecarDoesOnceTheWorkerRunsIsNoFaultOfThePod) {
  const PodView view = ViewWithInit(
      "Running", R"([{"name": "proxy", "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
    {"name": "fetch", "state": {"terminated": {"exitCode": 0}}}])",
      R"({"running": {}})");
  EXPECT_EQ(view.worker, PodView::Container::kRunning);
  EXPECT_EQ(view.worker_reason, "");
}

TEST(ViewOfPod, AFailedPodNamesTheInitContainerThatFailedIt) {
  PodView view = ViewWithInit("Failed", R"([
    {"name": "proxy", "state": {"terminated": {"exitCode": 143, "reason": "Error"}}},
    {"name": "fetch", "state": {"terminated": {"exitCode": 3, "reason": "Error",
      "message": "no route to host\n"}}}])",
                              kInitializing);
  EXPECT_EQ(view.pod_message, "init container fetch: exit code 3: no route to host");
  view = ViewWithInit("Failed", R"([{"name": "fetch", "state": {"terminated": {"exitCode": 137,
    "reason": "OOMKilled"}}}])",
                      kInitializing);
  EXPECT_EQ(view.pod_message, "init container fetch: exit code 137: OOMKilled");
}

TEST(ViewOfPod, WhatANodeSaysOfAPodIsKeptThoughAnInitContainerHasFailed) {
  nlohmann::json pod = Pod(R"({"phase": "Failed", "reason": "Evicted", "message": "low on disk",
    "initContainerStatuses": [{"name": "fetch", "state": {"terminated": {"exitCode": 137}}}]})");
  EXPECT_EQ(ViewOfPod(pod, "job")->pod_message, "low on disk");
}

TEST(ViewOfPod, ReadsDisruptionAndDeletion) {
  nlohmann::json pod = Pod(R"({"phase": "Failed", "reason": "Evicted", "conditions": [
    {"type": "DisruptionTarget", "status": "True"}, {"type": "Ready", "status": "True"}]})");
  pod["metadata"]["deletionTimestamp"] = "2026-11-24T13:01:00Z";
  const auto view = ViewOfPod(pod, "job");
  EXPECT_TRUE(view->disrupted);
  EXPECT_TRUE(view->ready);
  EXPECT_EQ(view->pod_reason, "Evicted");
  EXPECT_EQ(view->deleted - view->created, 60);
}

TEST(ViewOfPod, SurvivesStrangeDocuments) {
  for (
      const char* status :
      {"[]", "7", R"({"conditions": 3, "containerStatuses": {"a": 1}})",
       R"({"phase": "Failed", "initContainerStatuses": [7, {"state": {"terminated": []}}]})",
       R"({"containerStatuses": [{"name": "worker", "state": {"terminated": {"exitCode": "x"}}}]})"})
    EXPECT_TRUE(ViewOfPod(Pod(status), "job")) << status;
}

}  // namespace
}  // namespace longstride
