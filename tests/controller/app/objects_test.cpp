#include "controller/app/objects.h"

#include <gmock/gmock.h>

namespace longstride {
namespace {

using nlohmann::json;

TEST(ProjectPod, KeepsAllThatAViewReadsAndNoMore) {
  const json pod = json::parse(R"({
    "metadata": {"name": "demo-worker-0-1", "uid": "p", "labels": {
        "longstride.dev/job-name": "demo", "longstride.dev/group": "worker",
        "longstride.dev/index": "0", "longstride.dev/incarnation": "1", "team": "vision"},
      "annotations": {"large": "...", "longstride.dev/ca-bundle": "PEM"},
      "creationTimestamp": "2026-11-24T13:00:00Z",
      "ownerReferences": [{"uid": "job", "controller": true}]},
    "spec": {"nodeName": "node-1", "containers": [{"name": "worker"}]},
    "status": {"phase": "Running", "podIP": "10.0.0.1",
      "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "x"},
                     {"type": "Initialized", "status": "True"}],
      "containerStatuses": [{"name": "worker", "state": {"running": {}}, "image": "i"},
                            {"name": "sidecar", "state": {"running": {"startedAt": "x"}}}]}})");
  const json kept = ProjectPod(pod);
  EXPECT_FALSE(kept["spec"].contains("containers"));
  EXPECT_EQ(kept["metadata"]["annotations"].size(), 1U);
  EXPECT_EQ(kept["status"]["containerStatuses"],
            json::parse(R"([{"name": "worker", "state": {"running": {}}}, {"name": "sidecar"}])"));
  EXPECT_EQ(kept["status"]["conditions"].size(), 1U);
  const auto view = ViewOfPod(kept, "job");
  ASSERT_TRUE(view);
  EXPECT_TRUE(view->ready);
  EXPECT_TRUE(view->ours);
  EXPECT_EQ(view->ca_bundle, "PEM");
  EXPECT_EQ(view->worker, PodView::Container::kRunning);
  EXPECT_EQ(ProjectPod(kept), kept);
}

// A worker's pod with this status.
json PodWith(const char* status) {
  json pod = json::parse(R"({"metadata": {"name": "demo-worker-0-1", "uid": "p", "labels": {
      "longstride.dev/group": "worker", "longstride.dev/index": "0",
      "longstride.dev/incarnation": "1"}},
    "spec": {"initContainers": [{"name": "fetch"}, {"name": "proxy", "restartPolicy": "Always"}]}})");
  pod["status"] = json::parse(status);
  return pod;
}

TEST(ProjectPod, AViewOfWhatIsKeptIsThatOfThePod) {
  for (const char* status : {
           R"({"phase": "Running", "containerStatuses": [
             {"name": "worker", "state": {"terminated": {"exitCode": 0}}},
             {"name": "sidecar", "state": {"running": {}}}]})",
           R"({"phase": "Running", "containerStatuses": [
             {"name": "worker", "state": {"terminated": {"exitCode": 0}}},
             {"name": "sidecar", "state": {"terminated": {"exitCode": 1, "message": "..."}}}]})",
           R"({"phase": "Pending", "initContainerStatuses": [
             {"name": "proxy", "state": {"running": {}}},
             {"name": "fetch", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}]})",
           R"({"phase": "Failed", "initContainerStatuses": [
             {"name": "proxy", "state": {"terminated": {"exitCode": 143, "reason": "Error"}}},
             {"name": "fetch", "state": {"terminated": {"exitCode": 1, "reason": "Error",
                                                        "message": "no route to host"}}}]})",
           R"({"phase": "Failed", "initContainerStatuses": [
             {"name": "fetch", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}],
             "containerStatuses": [
             {"name": "worker", "state": {"waiting": {"reason": "PodInitializing"}}}]})",
       }) {
    const json pod = PodWith(status);
    const json kept = ProjectPod(pod);
    EXPECT_EQ(ViewOfPod(kept, "job"), ViewOfPod(pod, "job")) << kept;
    EXPECT_EQ(ProjectPod(kept), kept);
  }
}

TEST(ProjectPod, KeepsNothingOfInitContainersThatRunOrHaveDoneTheirPart) {
  const json kept = ProjectPod(PodWith(R"({"phase": "Running", "initContainerStatuses": [
    {"name": "proxy", "state": {"running": {"startedAt": "x"}}},
    {"name": "fetch", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]})"));
  EXPECT_EQ(kept["status"], json::parse(R"({"phase": "Running"})"));
  EXPECT_FALSE(kept.contains("spec"));
}

TEST(IsNews, OurOwnStatusWritesAreNone) {
  const json before = json::parse(R"({"metadata": {"generation": 1, "resourceVersion": "7"},
    "spec": {"replicas": 2}, "status": {"state": "Starting"}})");
  json after = before;
  after["status"]["state"] = "Running";
  after["metadata"]["resourceVersion"] = "8";
  EXPECT_FALSE(IsNews(before, after));
  after["spec"]["replicas"] = 3;
  EXPECT_TRUE(IsNews(before, after));
  after = before;
  after["metadata"]["deletionTimestamp"] = "2026-11-24T13:00:00Z";
  EXPECT_TRUE(IsNews(before, after));
}

TEST(IsNewer, ComparesNumbersNotText) {
  EXPECT_TRUE(IsNewer("10", "9"));
  EXPECT_FALSE(IsNewer("9", "10"));
  EXPECT_FALSE(IsNewer("10", "10"));
}

TEST(FailureOf, NamesTheFirstCauseAndBacksOff) {
  kube::ApiError error;
  error.status = 422;
  error.reason = kube::ApiReason::kInvalid;
  error.message = "Pod \"x\" is invalid: ...";
  error.causes = {{"spec.containers[0].image", "FieldValueRequired", "Required value"}};
  const CreateFailure failure = FailureOf(error, "x", {"worker", 0}, 0, 100);
  EXPECT_EQ(failure.field, "spec.containers[0].image");
  EXPECT_EQ(failure.message, "Required value");
  EXPECT_EQ(failure.retry_at, 102);
  EXPECT_EQ(FailureOf(error, "x", {"worker", 0}, 3, 100).retry_at, 116);
  EXPECT_EQ(FailureOf(error, "x", {"worker", 0}, 99, 100).retry_at, 160);
}

// What is refused with 422 by whoever says `message`, and `causes`.
CreateFailure Refused422(const std::string& message, std::vector<kube::FieldCause> causes) {
  kube::ApiError error;
  error.status = 422;
  error.reason = kube::ApiReason::kInvalid;
  error.message = "create pods lab/x: Invalid (422): " + message;
  error.causes = std::move(causes);
  return FailureOf(error, "x", {"worker", 0}, 0, 100);
}

TEST(FailureOf, ATemplateIsAtFaultOnlyWhereTheServersOwnValidationNamesAField) {
  const CreateFailure fault = Refused422(
      "Pod \"x\" is invalid: spec.hostname: Invalid value",
      {{"", "", "several"}, {"spec.hostname", "FieldValueInvalid", "Invalid value: \"a_b\""}});
  EXPECT_TRUE(fault.template_fault);
  EXPECT_FALSE(fault.forbidden);
  EXPECT_EQ(fault.field, "spec.hostname");
  const CreateFailure unclear = Refused422("the server could not process it", {});
  EXPECT_FALSE(unclear.template_fault);
  EXPECT_TRUE(unclear.forbidden);
}

TEST(FailureOf, ADenialByPolicyIsNoFaultOfTheTemplate) {
  const std::string words =
      "ValidatingAdmissionPolicy 'gate' with binding 'gate' denied request: not on Fridays";
  const CreateFailure failure = Refused422("pods \"x\" is forbidden: " + words, {{"", "", words}});
  EXPECT_FALSE(failure.template_fault);
  EXPECT_TRUE(failure.forbidden);
  EXPECT_NE(failure.message.find(words), std::string::npos);
  EXPECT_EQ(failure.field, "");
}

TEST(FailureOf, ADenialByAWebhookIsNoneThoughItNamesAField) {
  const CreateFailure failure =
      Refused422("admission webhook \"gate.example.org\" denied the request: no",
                 {{"spec.containers[0].image", "FieldValueForbidden", "not from there"}});
  EXPECT_FALSE(failure.template_fault);
  EXPECT_TRUE(failure.forbidden);
  EXPECT_NE(failure.message.find("gate.example.org"), std::string::npos) << "who says so";
}

TEST(FailureOf, TellsAMalformedTemplateFromAWebhookThatSays400) {
  kube::ApiError error;
  error.status = 400;
  error.reason = kube::ApiReason::kBadRequest;
  error.message =
      "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal string into Go "
      "struct field Probe.spec.containers.livenessProbe.periodSeconds of type int32";
  EXPECT_TRUE(FailureOf(error, "x", {"worker", 0}, 0, 100).template_fault);
  error.message = "admission webhook \"policy.example.com\" denied the request: not today";
  EXPECT_FALSE(FailureOf(error, "x", {"worker", 0}, 0, 100).template_fault);
  EXPECT_TRUE(FailureOf(error, "x", {"worker", 0}, 0, 100).forbidden);
}

TEST(LeaderSlice, KnowsTheFamilyOfItsAddress) {
  EXPECT_EQ(LeaderSlice("ns", "svc", "", "10.0.0.1", 8443)["addressType"], "IPv4");
  EXPECT_EQ(LeaderSlice("ns", "svc", "", "fd00::1", 8443)["addressType"], "IPv6");
}

TEST(LeaderSlice, GoesWithItsService) {
  const auto owned = LeaderSlice("ns", "svc", "u1", "10.0.0.1", 8443);
  EXPECT_EQ(owned["metadata"]["ownerReferences"][0]["uid"], "u1");
  EXPECT_FALSE(
      LeaderSlice("ns", "svc", "", "10.0.0.1", 8443)["metadata"].contains("ownerReferences"));
}

}  // namespace
}  // namespace longstride
