#include "controller/app/identities.h"

#include <gmock/gmock.h>

#include <latch>

#include "controller/app/objects.h"
#include "tests/controller/kube/fake_api_server.h"

namespace longstride {
namespace {

using kube::Json;

Json Pod(const std::string& phase) {
  Json pod = Json::parse(R"({"apiVersion": "v1", "kind": "Pod",
    "metadata": {"name": "demo-worker-2-1", "namespace": "lab", "uid": "u1", "resourceVersion": "1",
      "labels": {"longstride.dev/job-name": "demo", "longstride.dev/group": "worker",
                 "longstride.dev/index": "2", "longstride.dev/incarnation": "1"},
      "ownerReferences": [{"apiVersion": "longstride.dev/v1alpha1", "kind": "TrainingJob",
                           "name": "demo", "uid": "j1", "controller": true}]}})");
  pod["status"]["phase"] = phase;
  return pod;
}

class PodIndexTest : public ::testing::Test {
 protected:
  PodIndexTest() {
    cache_.AddHandlers(index_.Handlers());
    MakeJob("j1");
  }
  void MakeJob(const std::string& uid) {
    jobs_.Upsert({{"apiVersion", "longstride.dev/v1alpha1"},
                  {"kind", "TrainingJob"},
                  {"metadata",
                   {{"name", "demo"},
                    {"namespace", "lab"},
                    {"uid", uid},
                    {"resourceVersion", std::to_string(++versions_)}}}});
  }
  [[nodiscard]] bool IsGone(const std::string& uid) const {
    const FoundPod pod = index_.Find(uid);
    return pod.gone && !pod.live;
  }
  int versions_ = 0;
  kube::Cache jobs_{ProjectJob};
  PodIndex index_{jobs_};
  kube::Cache cache_{ProjectPod};
};

TEST_F(PodIndexTest, FindsTheJobAndPlaceOfALivePod) {
  cache_.Upsert(Pod("Running"));
  const auto pod = index_.Find("u1").live;
  ASSERT_TRUE(pod);
  EXPECT_EQ(pod->job, (JobKey{"lab", "demo"}));
  EXPECT_EQ(pod->place, (WorkerPlace{"worker", 2}));
  EXPECT_FALSE(index_.Find("u1").gone);
}

TEST_F(PodIndexTest, APodOfWhichThereWasNoWordIsNeitherLiveNorGone) {
  EXPECT_FALSE(index_.Find("u1").live);
  EXPECT_FALSE(index_.Find("u1").gone);
}

TEST_F(PodIndexTest, PodsThatEndedOrAreGoneAreNone) {
  cache_.Upsert(Pod("Running"));
  Json ended = Pod("Failed");
  ended["metadata"]["resourceVersion"] = "2";
  cache_.Upsert(ended);
  EXPECT_TRUE(IsGone("u1"));
  cache_.Upsert(Pod("Running"));
  cache_.Remove(Pod("Running"));
  EXPECT_TRUE(IsGone("u1"));
}

TEST_F(PodIndexTest, APodWithoutAnOwnerIsNone) {
  Json pod = Pod("Running");
  pod["metadata"].erase("ownerReferences");
  cache_.Upsert(pod);
  EXPECT_TRUE(IsGone("u1"));
}

TEST_F(PodIndexTest, APodOfSomebodyElseThatIsLabelledAsTheJobsIsNone) {
  Json pod = Pod("Running");
  pod["metadata"]["ownerReferences"][0] = {{"apiVersion", "apps/v1"},
                                           {"kind", "ReplicaSet"},
                                           {"name", "demo"},
                                           {"uid", "r1"},
                                           {"controller", true}};
  cache_.Upsert(pod);
  EXPECT_TRUE(IsGone("u1"));
}

TEST_F(PodIndexTest, APodOfAJobThatWasMadeAnewUnderItsNameIsNone) {
  cache_.Upsert(Pod("Running"));
  EXPECT_TRUE(index_.Find("u1").live);
  MakeJob("j2");
  EXPECT_TRUE(IsGone("u1"));
}

TEST(ApiTokenReviewer, AsksTheServerWhosePodItIs) {
  const SystemClock clock;
  auto server = kube::FakeApiServer::Start();
  ASSERT_TRUE(server.ok());
  (*server)->SetReview("tokenreviews", [](const Json& review) {
    Json answer = review;
    answer["status"] = {{"authenticated", review["spec"]["token"] == "good"},
                        {"audiences", review["spec"]["audiences"]},
                        {"user",
                         {{"username", "system:serviceaccount:lab:default"},
                          {"extra", {{"authentication.kubernetes.io/pod-uid", {"u1"}}}}}}};
    return answer;
  });
  const auto client = (*server)->MakeClient(clock);
  ApiTokenReviewer reviewer(*client, 2);
  for (const bool good : {true, false}) {
    std::latch answered(1);
    Result<TokenReviewStatus> status = BugError("not asked");
    reviewer.Review(good ? "good" : "bad", "longstride", [&](Result<TokenReviewStatus> s) {
      status = std::move(s);
      answered.count_down();
    });
    answered.wait();
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(status->authenticated, good);
    if (good) {
      EXPECT_EQ(status->pod_uid, "u1");
    }
  }
}

}  // namespace
}  // namespace longstride
