#include "controller/kube/client.h"

#include <gmock/gmock.h>

#include "tests/controller/kube/kube_testing.h"

namespace longstride::kube {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class ClientTest : public FakeApiTest {
 protected:
  template <typename T>
  static ApiReason ReasonOf(const ApiResult<T>& result) {
    return result.ok() ? ApiReason::kOther : result.error().reason;
  }
};

TEST_F(ClientTest, CreatesGetsAndDeletesByPrecondition) {
  const auto created = client_->Create(Pods(), MakePod("a"));
  ASSERT_TRUE(created.ok()) << created.error().message;
  EXPECT_EQ(ReasonOf(client_->Create(Pods(), MakePod("a"))), ApiReason::kAlreadyExists);
  const auto got = client_->Get(Pods(), {"default", "a"});
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(*got, *created);
  EXPECT_EQ(ReasonOf(client_->Delete(Pods(), {"default", "a"}, {.uid = "another"})),
            ApiReason::kConflict);
  EXPECT_TRUE(client_->Delete(Pods(), {"default", "a"}, {.uid = UidOf(*created)}).ok());
  EXPECT_EQ(ReasonOf(client_->Get(Pods(), {"default", "a"})), ApiReason::kNotFound);
}

TEST_F(ClientTest, ListsInPagesAndNamesTheKindOfEachObject) {
  for (int i = 0; i < 7; ++i) (void)server_->Put(Pods(), MakePod("p" + std::to_string(i)));
  ListOptions options;
  options.page_size = 3;
  const auto list = client_->List(Pods(), options);
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->items.size(), 7U);
  EXPECT_EQ(KeyOf(list->items[6]).name, "p6");
  EXPECT_EQ(list->items[6]["kind"], "Pod");
  EXPECT_EQ(server_->counts().by_verb["list"], 3);
}

TEST_F(ClientTest, HandsOnEachPageBeforeItAsksForTheNext) {
  for (int i = 0; i < 7; ++i) (void)server_->Put(Pods(), MakePod("p" + std::to_string(i)));
  ListOptions options;
  options.page_size = 3;
  std::vector<size_t> sizes;
  const auto take = [&](const std::vector<Json>& page) {
    sizes.push_back(page.size());
    EXPECT_EQ(server_->counts().by_verb["list"], static_cast<int64_t>(sizes.size()));
  };
  const auto version = client_->ListPages(Pods(), options, take);
  ASSERT_TRUE(version.ok());
  EXPECT_EQ(*version, client_->List(Pods(), {})->resource_version);
  EXPECT_THAT(sizes, ElementsAre(3, 3, 1));
}

TEST_F(ClientTest, AnAnswerLongerThanTheBoundIsToldFromNone) {
  (void)server_->Put(Pods(), MakeObject(Pods(), "ns", "a", {{"text", std::string(5000, 'x')}}));
  const auto client = server_->MakeClient(clock_, 4096);
  EXPECT_EQ(ReasonOf(client->Get(Pods(), {"ns", "a"})), ApiReason::kAnswerTooLong);
}

TEST_F(ClientTest, ListsWhatSelectorsAndNamespaceAskFor) {
  Json pod = MakePod("a");
  pod["metadata"]["labels"] = {{"app", "x"}};
  (void)server_->Put(Pods(), pod);
  (void)server_->Put(Pods(), MakePod("b"));
  (void)server_->Put(Pods(), MakeObject(Pods(), "other", "a"));
  const auto size = [&](const ListOptions& options) {
    const auto list = client_->List(Pods(), options);
    return list.ok() ? list->items.size() : 99;
  };
  EXPECT_EQ(size({}), 3U);
  EXPECT_EQ(size({.namespace_ = "default"}), 2U);
  EXPECT_EQ(size({.label_selector = "app=x"}), 1U);
  EXPECT_EQ(size({.namespace_ = "default", .field_selector = "metadata.name=b"}), 1U);
}

TEST_F(ClientTest, AnUpdateOfAnOldVersionIsAConflict) {
  const auto first = client_->Create(Secrets(), MakeObject(Secrets(), "ns", "c"));
  ASSERT_TRUE(first.ok());
  Json changed = *first;
  changed["data"] = {{"a", "1"}};
  EXPECT_TRUE(client_->Update(Secrets(), changed).ok());
  changed["data"] = {{"a", "2"}};
  EXPECT_EQ(ReasonOf(client_->Update(Secrets(), changed)), ApiReason::kConflict);
}

TEST_F(ClientTest, AppliesOnlyItsOwnFieldsAndTakesOthersByForceAlone) {
  Json theirs = MakeObject(Secrets(), "ns", "c");
  theirs["data"] = {{"a", "theirs"}};
  (void)server_->Put(Secrets(), theirs);
  Json ours = MakeObject(Secrets(), "ns", "c");
  ours["data"] = {{"a", "ours"}};
  const auto refused = client_->Apply(Secrets(), ours, /*force=*/false);
  ASSERT_EQ(ReasonOf(refused), ApiReason::kConflict);
  EXPECT_EQ(refused.error().causes.at(0).field, "/data/a");
  const auto taken = client_->Apply(Secrets(), ours, /*force=*/true);
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ((*taken)["data"]["a"], "ours");
}

TEST_F(ClientTest, StatusIsPatchedApartFromTheObject) {
  (void)server_->Put(TrainingJobs(), MakeObject(TrainingJobs(), "ns", "j"));
  const Json patch = {{"status", {{"round", 4}}}, {"spec", {{"replicas", 9}}}};
  const auto patched = client_->MergePatch(TrainingJobs(), {"ns", "j"}, patch, "status");
  ASSERT_TRUE(patched.ok());
  EXPECT_EQ((*patched)["status"]["round"], 4);
  EXPECT_FALSE((*patched)["spec"].contains("replicas"));
  const Json stale = {{"metadata", {{"resourceVersion", "1"}}}, {"status", {{"round", 5}}}};
  EXPECT_EQ(ReasonOf(client_->MergePatch(TrainingJobs(), {"ns", "j"}, stale, "status")),
            ApiReason::kConflict);
}

TEST_F(ClientTest, RepeatsARefusalOnlyWhenTheServerSaysWhen) {
  server_->AddFault({.method = "GET", .times = 2, .status = 429, .retry_after = 0});
  EXPECT_EQ(ReasonOf(client_->Get(Pods(), {"default", "a"})), ApiReason::kNotFound);
  EXPECT_EQ(server_->counts().by_verb["refused"], 2);
  server_->AddFault({.method = "GET", .status = 503});
  EXPECT_EQ(ReasonOf(client_->Get(Pods(), {"default", "a"})), ApiReason::kUnavailable);
}

TEST_F(ClientTest, CountsRequestsByMethodAndStatus) {
  (void)client_->Create(Pods(), MakePod("a"));
  server_->AddFault({.method = "GET", .times = 1, .status = 429, .retry_after = 0});
  (void)client_->Get(Pods(), {"default", "a"});
  server_->AddFault({.method = "DELETE", .times = -1, .cut = true});
  (void)client_->Delete(Pods(), {"default", "a"});
  EXPECT_THAT(client_->requests(),
              ElementsAre(Pair(Pair("DELETE", 0), 1), Pair(Pair("GET", 200), 1),
                          Pair(Pair("GET", 429), 1), Pair(Pair("POST", 201), 1)));
}

TEST_F(ClientTest, DoesNotWaitForARetryBeyondItsDeadline) {
  server_->AddFault({.method = "GET", .times = -1, .status = 429, .retry_after = 3600});
  const auto refused = client_->Get(Pods(), {"default", "a"});
  ASSERT_EQ(ReasonOf(refused), ApiReason::kTooManyRequests);
  EXPECT_EQ(refused.error().retry_after, Duration(std::chrono::hours(1)));
}

TEST_F(ClientTest, ACutConnectionIsNoAnswerAndNamesTheCall) {
  server_->AddFault({.method = "POST", .times = -1, .cut = true});
  const auto cut = client_->Create(Pods(), MakePod("a"));
  ASSERT_EQ(ReasonOf(cut), ApiReason::kNoAnswer);
  EXPECT_TRUE(cut.error().Transient());
  EXPECT_THAT(cut.error().message, HasSubstr("create pods default/a"));
}

TEST_F(ClientTest, AdmissionSaysWhatIsWrongWithWhichField) {
  server_->SetAdmission([](const std::string& plural, const Json&) -> FakeApiServer::Refusal {
    if (plural != "pods") return {};
    return {422, "Invalid", "Pod is invalid", {{{"field", "spec.containers"}}}};
  });
  const auto refused = client_->Create(Pods(), MakePod("a"));
  ASSERT_EQ(ReasonOf(refused), ApiReason::kInvalid);
  EXPECT_EQ(refused.error().causes.at(0).field, "spec.containers");
}

TEST_F(ClientTest, ReviewsATokenForAnAudience) {
  server_->SetReview("tokenreviews", [](const Json& review) {
    const bool good = StringAt(review, "/spec/token") == "good";
    Json status = {{"authenticated", good}};
    if (good) {
      status["audiences"] = review["spec"]["audiences"];
      status["user"] = {{"username", "system:serviceaccount:ns:default"},
                        {"groups", {"system:serviceaccounts"}},
                        {"extra", {{"authentication.kubernetes.io/pod-uid", {"u-1"}}}}};
    }
    return Json{{"kind", "TokenReview"}, {"status", status}};
  });
  const auto good = client_->ReviewToken("good", {"longstride"});
  ASSERT_TRUE(good.ok());
  EXPECT_TRUE(good->authenticated);
  EXPECT_EQ(good->username, "system:serviceaccount:ns:default");
  EXPECT_THAT(good->audiences, ElementsAre("longstride"));
  EXPECT_THAT(good->extra,
              Contains(Pair("authentication.kubernetes.io/pod-uid", ElementsAre("u-1"))));
  const auto bad = client_->ReviewToken("bad", {"longstride"});
  ASSERT_TRUE(bad.ok());
  EXPECT_FALSE(bad->authenticated);
}

TEST_F(ClientTest, AsksWhatItMayDo) {
  server_->SetReview("selfsubjectaccessreviews", [](const Json& review) {
    const bool allowed = StringAt(review, "/spec/resourceAttributes/verb") == "create";
    return Json{{"status", {{"allowed", allowed}}}};
  });
  const auto create = client_->MayI("create", Pods(), "ns");
  const auto remove = client_->MayI("delete", Pods(), "ns");
  ASSERT_TRUE(create.ok() && remove.ok());
  EXPECT_TRUE(*create);
  EXPECT_FALSE(*remove);
}

// A transport that only counts, and a clock that the test holds.
class CountingTransport final : public HttpTransport {
 public:
  Result<TransportResponse> Send(const TransportRequest& request, Duration,
                                 std::stop_token) override {
    requests.push_back(request);
    TransportResponse response;
    response.status = status;
    response.body = "{}";
    return response;
  }
  Result<TransportResponse> Stream(const TransportRequest& request, const LineSink&, Duration,
                                   std::stop_token) override {
    return Send(request, {}, {});
  }
  std::vector<TransportRequest> requests;
  int status = 200;
};

TEST(ClientLimitTest, ACallWithoutATurnWithinItsDeadlineIsNotSent) {
  ManualClock clock;
  auto transport = std::make_shared<CountingTransport>();
  Client client(transport, nullptr, {.requests_per_second = 0.001, .burst = 2}, clock);
  EXPECT_TRUE(client.Get(Pods(), {"ns", "a"}).ok());
  EXPECT_TRUE(client.Get(Pods(), {"ns", "a"}).ok());
  const auto third = client.Get(Pods(), {"ns", "a"});
  ASSERT_FALSE(third.ok());
  EXPECT_THAT(third.error().message, HasSubstr("rate limit"));
  EXPECT_EQ(transport->requests.size(), 2U);
}

TEST(ClientLimitTest, CallsThatHaveNoTurnDelayNoneAfterThem) {
  ManualClock clock;
  auto transport = std::make_shared<CountingTransport>();
  Client client(transport, nullptr, {.requests_per_second = 1, .burst = 1}, clock);
  EXPECT_TRUE(client.Get(Pods(), {"ns", "a"}).ok());
  const CallOptions brief{.deadline = std::chrono::milliseconds(10)};
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(client.Get(Pods(), {"ns", "a"}, brief).ok());
  clock.Advance(std::chrono::seconds(1));
  EXPECT_TRUE(client.Get(Pods(), {"ns", "a"}, brief).ok());
}

TEST(ClientLimitTest, ACallThatIsNotThrottledNeedsNoTurn) {
  ManualClock clock;
  auto transport = std::make_shared<CountingTransport>();
  Client client(transport, nullptr, {.requests_per_second = 0.001, .burst = 1}, clock);
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(client.Get(Pods(), {"ns", "a"}, {.throttled = false}).ok());
  EXPECT_TRUE(client.Get(Pods(), {"ns", "a"}).ok()) << "and takes none";
}

TEST(ClientLimitTest, AStoppedCallEndsItsWaitForATurn) {
  const SystemClock clock;
  auto transport = std::make_shared<CountingTransport>();
  Client client(transport, nullptr, {.requests_per_second = 0.1, .burst = 1}, clock);
  EXPECT_TRUE(client.Get(Pods(), {"ns", "a"}).ok());
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = client.Get(Pods(), {"ns", "a"}, {.stop = stop.get_token()});
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().reason, ApiReason::kInterrupted);
}

// Hands out "1", and "2" once it was told that "1" is refused.
class RenewedCredentials final : public Credentials {
 public:
  Result<std::string> Authorization(std::stop_token, Duration) override {
    return "Bearer " + std::to_string(version_);
  }
  void Invalidate() override { ++version_; }

 private:
  int version_ = 1;
};

TEST(ClientCredentialsTest, ATokenThatCannotBeReadIsTheUsersFault) {
  const SystemClock clock;
  auto transport = std::make_shared<CountingTransport>();
  Client client(transport, MakeTokenFile("/nowhere/token", clock), {}, clock);
  const auto unsent = client.Get(Pods(), {"ns", "a"});
  ASSERT_FALSE(unsent.ok());
  EXPECT_EQ(unsent.error().reason, ApiReason::kNotSent);
  EXPECT_EQ(Error(unsent.error()).code, ErrorCode::kUser);
  EXPECT_TRUE(transport->requests.empty());
}

TEST(ClientCredentialsTest, ARefusedTokenIsRenewedOnce) {
  const SystemClock clock;
  auto transport = std::make_shared<CountingTransport>();
  transport->status = 401;
  Client client(transport, std::make_shared<RenewedCredentials>(), {}, clock);
  const auto refused = client.Get(Pods(), {"ns", "a"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().reason, ApiReason::kUnauthorized);
  ASSERT_EQ(transport->requests.size(), 2U);
  for (const char* token : {"Bearer 1", "Bearer 2"}) {
    const HttpHeaders& headers = transport->requests[token[7] - '1'].headers;
    EXPECT_THAT(headers, Contains(Pair("Authorization", token)));
  }
  const auto watched = client.Watch(Pods(), {}, [](const WatchEvent&) { return true; }, {});
  EXPECT_FALSE(watched.ok());
  EXPECT_EQ(transport->requests.size(), 4U);
}

}  // namespace
}  // namespace longstride::kube
