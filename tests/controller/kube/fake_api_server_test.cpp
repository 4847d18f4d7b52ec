// What other tests rely on in the fake: it answers as the real API server does.
#include "tests/controller/kube/fake_api_server.h"

#include <gmock/gmock.h>

#include "tests/controller/kube/kube_testing.h"

namespace longstride::kube {
namespace {

using ::testing::ElementsAre;

class FakeApiServerTest : public FakeApiTest {
 protected:
  static Json Owned(const std::string& name, const Json& owner) {
    Json object = MakePod(name);
    object["metadata"]["ownerReferences"] = {{{"apiVersion", "v1"},
                                              {"kind", "Pod"},
                                              {"name", "x"},
                                              {"uid", UidOf(owner)},
                                              {"controller", true}}};
    return object;
  }
  int64_t Version(const Json& object) { return std::stoll(ResourceVersionOf(object)); }
};

TEST_F(FakeApiServerTest, AWriteThatChangesNothingMakesNoNewVersion) {
  Json secret = MakeObject(Secrets(), "ns", "c");
  secret["data"] = {{"a", "1"}};
  const auto first = client_->Apply(Secrets(), secret, true);
  const auto second = client_->Apply(Secrets(), secret, true);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(Version(*first), Version(*second));
}

TEST_F(FakeApiServerTest, ApplyRemovesWhatWasAppliedBeforeAndLeavesWhatOthersSet) {
  Json secret = MakeObject(Secrets(), "ns", "c");
  secret["data"] = {{"ours", "1"}, {"dropped", "2"}};
  ASSERT_TRUE(client_->Apply(Secrets(), secret, true).ok());
  Json theirs = *server_->Get(Secrets(), {"ns", "c"});
  theirs["data"]["theirs"] = "3";
  (void)server_->Put(Secrets(), theirs);
  secret["data"] = {{"ours", "4"}};
  const auto applied = client_->Apply(Secrets(), secret, true);
  ASSERT_TRUE(applied.ok());
  EXPECT_EQ((*applied)["data"], (Json{{"ours", "4"}, {"theirs", "3"}}));
}

TEST_F(FakeApiServerTest, StatusChangesOnlyThroughItsSubresource) {
  const auto job = client_->Create(TrainingJobs(), MakeObject(TrainingJobs(), "ns", "j"));
  ASSERT_TRUE(job.ok());
  EXPECT_EQ((*job)["metadata"]["generation"], 1);
  ASSERT_TRUE(client_->MergePatch(TrainingJobs(), {"ns", "j"}, {{"status", {{"round", 3}}}}).ok());
  EXPECT_FALSE(server_->Get(TrainingJobs(), {"ns", "j"})->contains("status"));
  ASSERT_TRUE(
      client_->MergePatch(TrainingJobs(), {"ns", "j"}, {{"status", {{"round", 3}}}}, "status")
          .ok());
  const Json stored = *server_->Get(TrainingJobs(), {"ns", "j"});
  EXPECT_EQ(stored["status"]["round"], 3);
  EXPECT_EQ(stored["metadata"]["generation"], 1);
  ASSERT_TRUE(
      client_->MergePatch(TrainingJobs(), {"ns", "j"}, {{"spec", {{"replicas", 2}}}}, "scale")
          .ok());
  EXPECT_EQ((*server_->Get(TrainingJobs(), {"ns", "j"}))["metadata"]["generation"], 2);
}

TEST_F(FakeApiServerTest, WhatAnObjectOwnsGoesWithIt) {
  const Json owner = server_->Put(Pods(), MakePod("owner"));
  const Json child = server_->Put(Pods(), Owned("child", owner));
  (void)server_->Put(Pods(), Owned("grandchild", child));
  (void)server_->Put(Pods(), MakePod("stranger"));
  ASSERT_TRUE(client_->Delete(Pods(), {"default", "owner"}).ok());
  const std::vector<Json> left = server_->List(Pods());
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(KeyOf(left[0]).name, "stranger");
}

TEST_F(FakeApiServerTest, AFinalizerHoldsAnObjectUntilItIsRemoved) {
  Json pod = MakePod("held");
  pod["metadata"]["finalizers"] = {"example.com/hold"};
  (void)server_->Put(Pods(), pod);
  ASSERT_TRUE(client_->Delete(Pods(), {"default", "held"}).ok());
  EXPECT_FALSE(
      StringAt(*server_->Get(Pods(), {"default", "held"}), "/metadata/deletionTimestamp").empty());
  ASSERT_TRUE(
      client_->MergePatch(Pods(), {"default", "held"}, {{"metadata", {{"finalizers", nullptr}}}})
          .ok());
  EXPECT_EQ(server_->Get(Pods(), {"default", "held"}), std::nullopt);
}

TEST_F(FakeApiServerTest, AWatchWithASelectorTellsOfObjectsThatComeIntoAndGoOutOfIt) {
  Json pod = MakePod("a");
  (void)server_->Put(Pods(), pod);
  std::thread actor([&] {
    (void)server_->WaitFor([&] { return server_->open_watches() == 1; });
    pod["metadata"]["labels"] = {{"app", "x"}};
    (void)server_->Put(Pods(), pod);
    pod["spec"] = {{"n", 1}};
    (void)server_->Put(Pods(), pod);
    pod["metadata"]["labels"] = {{"app", "y"}};
    (void)server_->Put(Pods(), pod);
  });
  std::vector<WatchEvent::Type> types;
  WatchOptions options;
  options.label_selector = "app in (x, z)";
  options.resource_version = "1";
  const auto ended = client_->Watch(Pods(), options,
                                    [&](const WatchEvent& event) {
                                      types.push_back(event.type);
                                      return types.size() < 3;
                                    },
                                    {});
  actor.join();
  EXPECT_TRUE(ended.ok());
  EXPECT_THAT(types, ElementsAre(WatchEvent::Type::kAdded, WatchEvent::Type::kModified,
                                 WatchEvent::Type::kDeleted));
}

TEST(FakeApiServerGraceTest, GracefulPodsStayUntilTheKubeletHasEndedThem) {
  const SystemClock clock;
  FakeApiOptions options;
  options.graceful_pods = true;
  auto server = FakeApiServer::Start(options);
  ASSERT_TRUE(server.ok());
  const auto client = (*server)->MakeClient(clock);
  (void)(*server)->Put(Pods(), MakePod("a"));
  ASSERT_TRUE(client->Delete(Pods(), {"default", "a"}).ok());
  const auto dying = (*server)->Get(Pods(), {"default", "a"});
  ASSERT_TRUE(dying);
  EXPECT_FALSE(StringAt(*dying, "/metadata/deletionTimestamp").empty());
  EXPECT_TRUE((*server)->Delete(Pods(), {"default", "a"}));
  EXPECT_FALSE((*server)->Get(Pods(), {"default", "a"}));
}

}  // namespace
}  // namespace longstride::kube
