// What a controller makes of pods that are refused, or that do not run as planned.
#include <gmock/gmock.h>

#include <atomic>
#include <mutex>

#include "tests/controller/app/controller_fixture.h"

namespace longstride {
namespace {

using kube::Json;
using kube::ObjectKey;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ControllerTest, APolicyThatDeniesAPodFailsNoJobThatRuns) {
  constexpr const char* kWords = "ValidatingAdmissionPolicy 'gate' denied request: not on Fridays";
  std::atomic<bool> denies = false;
  server_->SetAdmission([&](const std::string& plural, const Json&) {
    kube::FakeApiServer::Refusal refusal;
    if (!denies || plural != "pods") return refusal;
    // As a policy without a `reason` does.
    refusal = {422, "Invalid", std::string("pods \"x\" is forbidden: ") + kWords, Json::array()};
    refusal.causes.push_back({{"message", kWords}});
    return refusal;
  });
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  denies = true;
  Exit("demo-worker-0-1", 7);
  ASSERT_TRUE(Eventually([&] {
    const Json running = Condition("Running");
    return running.is_object() && running["reason"] == "PodForbidden";
  })) << Job();
  EXPECT_THAT(Condition("Running")["message"], HasSubstr("not on Fridays"));
  EXPECT_FALSE(Job()["status"].contains("completionTime"));
  denies = false;
  EXPECT_TRUE(Eventually([&] { return PodNames().size() == 3; })) << "once it may";
}

// A worker has ended, and the sidecar in its pod runs on.
Json WithSidecar(int exit_code) {
  Json status = Json::parse(R"({"phase": "Running", "containerStatuses": [
    {"name": "worker", "state": {"terminated": {"reason": "Error"}}},
    {"name": "sidecar", "state": {"running": {"startedAt": "2026-11-24T13:00:00Z"}}}]})");
  status["containerStatuses"][0]["state"]["terminated"]["exitCode"] = exit_code;
  return status;
}

TEST_F(ControllerTest, APodWhoseSidecarRunsOnGoesOnceItsJobHasEnded) {
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  SetPodStatus("demo-worker-0-1", WithSidecar(0));
  Exit("demo-worker-1-1", 0);
  ASSERT_TRUE(Eventually([&] { return Holds("Complete", "Completed"); }));
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 1; }));
  EXPECT_THAT(PodNames(), ElementsAre("demo-worker-1-1"));
}

TEST_F(ControllerTest, APodWhoseSidecarRunsOnKeepsNoDeviceBesideItsReplacement) {
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  SetPodStatus("demo-worker-0-1", WithSidecar(7));
  const std::vector<std::string> replaced = {"demo-worker-0-2", "demo-worker-1-1"};
  EXPECT_TRUE(Eventually([&] { return PodNames() == replaced; }));
}

TEST_F(ControllerTest, AnInitContainerThatKeepsAWorkerFromStartingIsNamed) {
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  SetPodStatus("demo-worker-0-1", Json::parse(R"({"phase": "Pending",
    "initContainerStatuses": [
      {"name": "fetch", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such"}}}],
    "containerStatuses": [
      {"name": "worker", "state": {"waiting": {"reason": "PodInitializing"}}}]})"));
  ASSERT_TRUE(Eventually([&] {
    const Json running = Condition("Running");
    return running.is_object() && running["reason"] == "ImagePullFailed";
  })) << Job();
  EXPECT_THAT(Condition("Running")["message"], HasSubstr("init container fetch: no such"));
  SetPodStatus("demo-worker-0-1", Json::parse(R"({"phase": "Failed",
    "initContainerStatuses": [{"name": "fetch", "state": {"terminated": {
      "exitCode": 3, "reason": "Error", "message": "no route to host"}}}],
    "containerStatuses": [
      {"name": "worker", "state": {"waiting": {"reason": "PodInitializing"}}}]})"));
  ASSERT_TRUE(Eventually([&] { return Job()["status"].contains("lastFailure"); }));
  EXPECT_EQ(Job()["status"]["lastFailure"]["message"],
            "init container fetch: exit code 3: no route to host");
}

TEST_F(ControllerTest, PodsAreMadeSeveralAtOnceUntilOneIsRefused) {
  std::atomic<bool> full = true;
  server_->SetAdmission([&](const std::string& plural, const Json& object) {
    kube::FakeApiServer::Refusal refusal;
    if (full && plural == "pods" && kube::StringAt(object, "/metadata/name") == "demo-worker-1-1")
      refusal = {403, "Forbidden", "exceeded quota: lab", Json::array()};
    return refusal;
  });
  const auto controller = Start();
  PutJob([](Json& job) {
    job["spec"]["replicas"] = 40;
    job["spec"]["training"]["batch"]["initial"] = 64;
  });
  ASSERT_TRUE(Eventually([&] {
    const Json running = Condition("Running");
    return running.is_object() && running["reason"] == "QuotaExceeded";
  })) << Job();
  EXPECT_THAT(PodNames(), ElementsAre("demo-worker-0-1", "demo-worker-2-1", "demo-worker-3-1"))
      << "four at once, and no more";
  full = false;
  ASSERT_TRUE(Eventually([&] { return PodNames().size() >= 40; }));
  EXPECT_THAT(PodNames(), Contains("demo-worker-39-1"));
  EXPECT_EQ(PodNames().size(), 40) << "none twice";
}

TEST_F(ControllerTest, AGroupWhosePodsAreRefusedHoldsUpNoOther) {
  server_->SetAdmission([&](const std::string& plural, const Json& object) {
    kube::FakeApiServer::Refusal refusal;
    if (plural == "pods" && kube::StringAt(object, "/metadata/name").starts_with("demo-a-"))
      refusal = {403, "Forbidden", "exceeded quota: lab", Json::array()};
    return refusal;
  });
  const auto controller = Start();
  PutJob([](Json& job) {
    job["spec"]["workers"] = Json::array({{{"name", "a"}}, {{"name", "b"}}});
    job["spec"]["replicas"] = 4;
  });
  EXPECT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  EXPECT_THAT(PodNames(), ElementsAre("demo-b-0-1", "demo-b-1-1"));
}

TEST_F(ControllerTest, ANetworkPolicyThatSomebodyDeletedIsThereAgainBeforeTheNextPod) {
  const ObjectKey policy{"lab", "demo-longstride"};
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  ASSERT_TRUE(server_->Delete(kube::NetworkPolicies(), policy));
  std::mutex mutex;
  std::vector<std::string> made;
  server_->SetAdmission([&](const std::string& plural, const Json&) {
    const std::lock_guard lock(mutex);
    if (plural == "networkpolicies" || plural == "pods") made.push_back(plural);
    return kube::FakeApiServer::Refusal{};
  });
  Exit("demo-worker-1-1", 7);
  EXPECT_TRUE(Eventually([&] { return PodNames().size() == 3; }));
  server_->SetAdmission({});
  EXPECT_THAT(made, ElementsAre("networkpolicies", "pods"));
}

// A status that is refused for good, as without the right to write it, keeps no machine.
TEST_F(ControllerTest, PodsAreDeletedThoughTheirNamesCannotBePutOnRecord) {
  kube::FakeFault fault;
  fault.method = "PUT";
  fault.path_contains = "/status";
  fault.status = 403;
  fault.times = -1;
  server_->AddFault(fault);
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  PutJob([](Json& job) { job["spec"]["runPolicy"]["suspend"] = true; });
  EXPECT_TRUE(Eventually([&] { return PodNames().empty(); }));
}

TEST_F(ControllerTest, AWebhookThatIsAwayIsNamedAndPodsComeWhenItIsBack) {
  std::atomic<bool> away = true;
  server_->SetAdmission([&](const std::string& plural, const Json&) {
    kube::FakeApiServer::Refusal refusal;
    if (away && plural == "pods")
      refusal = {500, "InternalError", "failed calling webhook \"gate.example.org\"",
                 Json::array()};
    return refusal;
  });
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] {
    const Json running = Condition("Running");
    return running.is_object() && running["reason"] == "CreateFailed";
  }));
  EXPECT_THAT(Condition("Running")["message"], HasSubstr("gate.example.org"));
  away = false;
  EXPECT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
}

}  // namespace
}  // namespace longstride
