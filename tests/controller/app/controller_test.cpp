// The whole controller but for its main(), against an API server of its own: the tests play
// kubectl, kubelet and quota.
#include "controller/app/controller.h"

#include <gmock/gmock.h>

#include <atomic>

#include "controller/reconcile/labels.h"
#include "tests/controller/app/controller_fixture.h"

namespace longstride {
namespace {

using kube::Json;
using kube::ObjectKey;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ControllerTest, AJobGetsItsPodsAndIsCompleteWhenTheirWorkersAre) {
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  EXPECT_THAT(PodNames(), ElementsAre("demo-worker-0-1", "demo-worker-1-1"));
  EXPECT_TRUE(server_->Get(kube::NetworkPolicies(), {"lab", "demo-longstride"}));
  Exit("demo-worker-0-1", 0);
  Exit("demo-worker-1-1", 0);
  ASSERT_TRUE(Eventually([&] { return Holds("Complete", "Completed"); }));
  EXPECT_EQ(Job()["status"]["state"], "Complete");
  EXPECT_EQ(Job()["spec"]["replicas"], 2) << "a status write changes no spec";
  EXPECT_TRUE(Eventually([&] { return !server_->List(kube::Events()).empty(); }));
}

TEST_F(ControllerTest, ALostWorkerIsReplacedUnderTheNextName) {
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  Exit("demo-worker-0-1", 7);
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 3; }));
  EXPECT_THAT(PodNames(), ElementsAre("demo-worker-0-1", "demo-worker-0-2", "demo-worker-1-1"));
}

TEST_F(ControllerTest, AWorkerKilledForWantOfMemoryComesBackWithSmallerMicroBatches) {
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  Say("demo-worker-0-1", "Failed", {{"terminated", {{"exitCode", 137}, {"reason", "OOMKilled"}}}});
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 3; }));
  const Json pod = *server_->Get(kube::Pods(), {"lab", "demo-worker-0-2"});
  EXPECT_THAT(pod["spec"]["containers"][0]["env"],
              Contains(Json{{"name", "LONGSTRIDE_MICRO_BATCH"}, {"value", "16"}}))
      << "half of the first batch, as it had reported none";
}

TEST_F(ControllerTest, AUsersMistakeFailsTheJobAndTheOthersPodsGo) {
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  Say("demo-worker-1-1", "Running", {{"running", Json::object()}});
  Exit("demo-worker-0-1", 2);
  ASSERT_TRUE(Eventually([&] { return Holds("Failed", "UserError"); }));
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 1; }));
  EXPECT_THAT(PodNames(), ElementsAre("demo-worker-0-1")) << "its log tells why";
}

TEST_F(ControllerTest, ATimeToLiveThatIsGivenAfterTheEndHolds) {
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  for (const char* pod : {"demo-worker-0-1", "demo-worker-1-1"}) Exit(pod, 0);
  ASSERT_TRUE(Eventually([&] { return Holds("Complete", "Completed"); }));
  PutJob([](Json& job) { job["spec"]["runPolicy"]["ttlSecondsAfterFinished"] = 0; });
  EXPECT_TRUE(Eventually([&] { return Job().is_null(); }));
}

TEST_F(ControllerTest, AnInvalidSpecFailsItsJobAndDelaysNoOther) {
  const auto controller = Start();
  PutJob([](Json& job) { job["spec"]["training"].erase("maxEpochs"); });
  PutJob([](Json& job) { job["metadata"]["name"] = "good"; });
  ASSERT_TRUE(Eventually([&] { return Holds("Failed", "InvalidSpec"); }));
  EXPECT_THAT(Condition("Failed")["message"], HasSubstr("spec.training"));
  EXPECT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
}

TEST_F(ControllerTest, AJobThatHasStartedIsScaledBelowWhatItsFirstBatchNeeds) {
  const auto controller = Start();
  PutJob([](Json& job) {
    job["spec"]["workers"] = Json::array({Json{{"name", "worker"}, {"batch", {{"max", 16}}}}});
  });
  ASSERT_TRUE(Eventually([&] { return Job()["status"].contains("startTime"); }));
  Json job = Job();
  job["metadata"]["generation"] = 2;
  job["spec"]["replicas"] = 1;
  server_->Put(kube::TrainingJobs(), job);
  ASSERT_TRUE(Eventually([&] { return Job()["status"]["observedGeneration"] == 2; }));
  EXPECT_FALSE(Holds("Failed", "InvalidSpec")) << Condition("Failed")["message"];
}

TEST_F(ControllerTest, ATemplateThatIsRefusedIsNamed) {
  server_->SetAdmission([](const std::string& plural, const Json&) {
    kube::FakeApiServer::Refusal refusal;
    if (plural != "pods") return refusal;
    refusal = {422, "Invalid", "Pod is invalid", Json::array()};
    refusal.causes.push_back({{"field", "spec.containers[0].image"},
                              {"reason", "FieldValueRequired"},
                              {"message", "Required value"}});
    return refusal;
  });
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return Holds("Failed", "InvalidPodTemplate"); }));
  EXPECT_THAT(Condition("Failed")["message"],
              HasSubstr("spec.workers[0].template.spec.containers[0].image: Required value"));
}

kube::FakeFault StuckPodWatch() {
  kube::FakeFault stuck;
  stuck.path_contains = "/pods";
  stuck.watch = true;
  stuck.times = -1;
  stuck.delay = std::chrono::hours(1);
  return stuck;
}

TEST_F(ControllerTest, WhileTheWatchIsStuckNoPodIsTakenForGone) {
  unseen_ = Duration::zero();  // each look misses the pods at once
  server_->AddFault(StuckPodWatch());
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  PutJob([](Json& job) {
    job["spec"]["replicas"] = 3;
    job["metadata"]["generation"] = 2;
  });
  ASSERT_TRUE(Eventually([&] { return PodNames().size() >= 3; }));
  EXPECT_THAT(PodNames(), ElementsAre("demo-worker-0-1", "demo-worker-1-1", "demo-worker-2-1"));
}

TEST_F(ControllerTest, APodThatIsGoneBeforeTheWatchHasShownItIsNotWaitedFor) {
  unseen_ = std::chrono::milliseconds(50);
  server_->AddFault(StuckPodWatch());
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  PutJob([](Json& job) { job["spec"]["runPolicy"]["suspend"] = true; });
  EXPECT_TRUE(Eventually([&] { return Holds("Suspended", "Suspended"); })) << Job();
}

TEST_F(ControllerTest, APodOfSomebodyElseUnderItsNameIsLeftAlone) {
  server_->Put(kube::Pods(), {{"apiVersion", "v1"},
                              {"kind", "Pod"},
                              {"metadata", {{"name", "demo-worker-0-1"}, {"namespace", "lab"}}}});
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] {
    const Json running = Condition("Running");
    return running.is_object() && running["reason"] == "NameConflict";
  }));
}

TEST_F(ControllerTest, TheNextLeaderMakesNoPodTwice) {
  auto first = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  const Json before = *server_->Get(kube::Pods(), {"lab", "demo-worker-0-1"});
  first->Stop();
  first.reset();
  const auto second = Start("second");
  Exit("demo-worker-1-1", 7);
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 3; }));
  EXPECT_EQ(kube::UidOf(*server_->Get(kube::Pods(), {"lab", "demo-worker-0-1"})),
            kube::UidOf(before));
}

TEST_F(ControllerTest, ALeaderWhoseWatchOfPodsLagsTakesNoneForGone) {
  server_->AddFault(StuckPodWatch());
  const auto first = Start();
  const auto second = Start("second");
  ASSERT_TRUE(Eventually([&] {
    return server_->Get(kube::Leases(), {"operators", "longstride"}).has_value();
  }));
  PutJob();
  const auto recorded = [&] {
    const Json job = Job();
    return kube::ValueAt(job, "/status/replicas") == Json(2);
  };
  ASSERT_TRUE(Eventually(recorded));
  (first->leading() ? first : second)->Stop();
  Json job = Job();
  job["spec"]["replicas"] = 3;
  job["metadata"]["generation"] = 2;
  server_->Put(kube::TrainingJobs(), job);
  ASSERT_TRUE(Eventually([&] { return PodNames().size() >= 3; }));
  EXPECT_THAT(PodNames(), ElementsAre("demo-worker-0-1", "demo-worker-1-1", "demo-worker-2-1"));
}

// What it does first is by the job as it is, and so is what it takes for gone.
TEST_F(ControllerTest, ALeaderWhoseWatchesAllLagGoesOnWhereTheFormerEnded) {
  Json lease = {{"apiVersion", "coordination.k8s.io/v1"},
                {"kind", "Lease"},
                {"metadata", {{"name", "longstride"}, {"namespace", "operators"}}},
                {"spec", {{"holderIdentity", "somebody"}, {"leaseDurationSeconds", 3600}}}};
  server_->Put(kube::Leases(), lease);
  PutJob();
  kube::FakeFault stuck;
  stuck.watch = true;
  stuck.times = -1;
  stuck.delay = std::chrono::hours(1);
  for (const char* path : {"/pods", "/trainingjobs"}) {
    stuck.path_contains = path;
    server_->AddFault(stuck);
  }
  CoordinatorService standby(clock_);
  const auto first = Start();
  const auto second = Start("second", standby);
  ASSERT_TRUE(Eventually([&] { return server_->counts().by_verb["list"] >= 4; }));
  ASSERT_TRUE(server_->Delete(kube::Leases(), {"operators", "longstride"}));
  const auto recorded = [&] { return kube::ValueAt(Job(), "/status/replicas") == Json(2); };
  ASSERT_TRUE(Eventually(recorded));
  const bool first_led = first->leading();
  (first_led ? first : second)->Stop();
  CoordinatorService& next = first_led ? standby : service_;
  ASSERT_TRUE(Eventually([&] {
    return next.WithJob({"lab", "demo"}, [](Coordinator&, TimePoint) {});
  }));
  const int64_t before = server_->counts().requests;
  ASSERT_TRUE(Eventually([&] { return server_->counts().requests > before + 3; }));
  EXPECT_THAT(PodNames(), ElementsAre("demo-worker-0-1", "demo-worker-1-1"));
  EXPECT_EQ(kube::ValueAt(Job(), "/status/restarts"), Json(0)) << Job();
}

TEST_F(ControllerTest, TheServiceLeadsToTheLeader) {
  const auto controller = Start();
  const ObjectKey key{"operators", "longstride-coordinator"};
  ASSERT_TRUE(Eventually([&] { return server_->Get(kube::EndpointSlices(), key).has_value(); }));
  const Json slice = *server_->Get(kube::EndpointSlices(), key);
  EXPECT_EQ(slice["endpoints"][0]["addresses"][0], "10.0.0.7");
  EXPECT_EQ(slice["metadata"]["labels"]["kubernetes.io/service-name"], "longstride-coordinator");
}

TEST_F(ControllerTest, ItTellsOfItsHealthAndOfItsJobs) {
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  ASSERT_TRUE(Eventually([&] { return controller->ready() && controller->leading(); }));
  const auto health = MakeHealthHandler(*controller);
  const auto get = [&](const std::string& path) {
    HttpResponse answer;
    health->Handle({"GET", path, "", ""}, [&](HttpResponse r) { answer = std::move(r); });
    return answer;
  };
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(get("/readyz").status, 200);
  EXPECT_EQ(get("/other").status, 404);
  EXPECT_THAT(get("/metrics").body, HasSubstr("leader_election_master_status{"));
  EXPECT_TRUE(Eventually([&] {
    return get("/metrics").body.find("longstride_job_replicas{job_namespace=\"lab\"") !=
           std::string::npos;
  }));
}

TEST_F(ControllerTest, ADeletedNetworkPolicyIsThereAgainAfterTheNextEditOfItsJob) {
  const ObjectKey policy{"lab", "demo-longstride"};
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  ASSERT_TRUE(server_->Delete(kube::NetworkPolicies(), policy));
  PutJob([](Json& job) { job["spec"]["replicas"] = 3; });
  EXPECT_TRUE(
      Eventually([&] { return server_->Get(kube::NetworkPolicies(), policy).has_value(); }));
}

// Answers the first status write with a version that the server has not come to.
class RestoredTransport final : public kube::HttpTransport {
 public:
  explicit RestoredTransport(std::unique_ptr<kube::HttpTransport> transport)
      : transport_(std::move(transport)) {}
  Result<kube::TransportResponse> Send(const kube::TransportRequest& request, Duration deadline,
                                       std::stop_token stop) override {
    auto response = transport_->Send(request, deadline, std::move(stop));
    if (request.method != "PUT" || !request.path.ends_with("/status") || !response.ok() ||
        response->status != 200 || restored_.exchange(true))
      return response;
    Json job = Json::parse(response->body);
    job["metadata"]["resourceVersion"] = "999999999999";
    response->body = job.dump();
    return response;
  }
  Result<kube::TransportResponse> Stream(const kube::TransportRequest& request,
                                         const LineSink& sink, Duration deadline,
                                         std::stop_token stop) override {
    return transport_->Stream(request, sink, deadline, std::move(stop));
  }

 private:
  const std::unique_ptr<kube::HttpTransport> transport_;
  std::atomic<bool> restored_ = false;
};

TEST_F(ControllerTest, AStatusThatWasWrittenBeforeTheServerWasRestoredIsForgotten) {
  client_ = std::make_unique<kube::Client>(
      std::make_shared<RestoredTransport>(server_->MakeTransport(clock_)), nullptr,
      kube::ClientOptions{.requests_per_second = 1e6, .burst = 1e6}, clock_);
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  Exit("demo-worker-0-1", 0);
  Exit("demo-worker-1-1", 0);
  EXPECT_TRUE(Eventually([&] { return Holds("Complete", "Completed"); }));
}

class NameTakenTest : public ControllerTest {
 protected:
  NameTakenTest() {
    server_->SetAdmission([this](const std::string& plural, const Json& object) {
      if (plural == "events" && kube::StringAt(object, "/reason") == "NameConflict")
        conflict_told_ = true;
      return kube::FakeApiServer::Refusal();
    });
  }
  // A pod under the name of the job's first.
  void PutFormerPod(const std::function<void(Json&)>& change) {
    Json pod = {{"apiVersion", "v1"},
                {"kind", "Pod"},
                {"metadata",
                 {{"name", kFirst.name},
                  {"namespace", kFirst.namespace_},
                  {"labels", {{kJobNameLabel, "demo"}}}}}};
    change(pod["metadata"]);
    server_->Put(kube::Pods(), pod);
  }
  // Whether the name was found taken so often that a conflict would have been told of.
  [[nodiscard]] bool FoundTaken() const {
    return Eventually([&] { return client_->requests()[{"POST", 409}] >= 2; });
  }

  inline static const ObjectKey kFirst{"lab", "demo-worker-0-1"};
  std::atomic<bool> conflict_told_ = false;
};

TEST_F(NameTakenTest, AFormerJobsPodThatIsBeingDeletedIsWaitedFor) {
  PutFormerPod(
      [](Json& metadata) { metadata["finalizers"] = Json::array({"example.org/kubelet"}); });
  ASSERT_TRUE(client_->Delete(kube::Pods(), kFirst).ok());
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(FoundTaken());
  const Json ended = {{"metadata", {{"finalizers", nullptr}}}};
  ASSERT_TRUE(client_->MergePatch(kube::Pods(), kFirst, ended).ok());
  EXPECT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  controller->Stop();
  EXPECT_FALSE(conflict_told_);
}

TEST_F(NameTakenTest, SoIsOneThatTheGarbageCollectorHasNotFoundYet) {
  PutFormerPod([](Json& metadata) {
    metadata["ownerReferences"] = Json::array({Json{{"apiVersion", "longstride.dev/v1alpha1"},
                                                    {"kind", "TrainingJob"},
                                                    {"name", "demo"},
                                                    {"uid", "former"},
                                                    {"controller", true}}});
  });
  const auto controller = Start();
  PutJob();
  ASSERT_TRUE(FoundTaken());
  ASSERT_TRUE(server_->Delete(kube::Pods(), kFirst));
  EXPECT_TRUE(Eventually([&] { return PodNames().size() == 2; }));
  controller->Stop();
  EXPECT_FALSE(conflict_told_);
}

TEST_F(NameTakenTest, ItsOwnPodOfALostAnswerIsNoConflictThoughItCannotBeReadAtOnce) {
  server_->AddFault(StuckPodWatch());
  server_->AddFault({.method = "POST", .path_contains = "/pods", .cut_after = true});
  server_->AddFault({.method = "GET", .path_contains = "/pods/" + kFirst.name, .status = 503});
  const auto controller = Start();
  PutJob([](Json& job) { job["spec"]["replicas"] = 1; });  // pods of one job are made at once
  ASSERT_TRUE(FoundTaken());
  const auto recorded = [&] { return kube::ValueAt(Job(), "/status/replicas") == Json(1); };
  EXPECT_TRUE(Eventually([&] { return PodNames().size() == 1 && recorded(); }));
  controller->Stop();
  EXPECT_FALSE(conflict_told_);
}

}  // namespace
}  // namespace longstride
