// The HTTP face without sockets, under a clock moved by hand.
#include "controller/http/coordinator_service.h"

#include <gmock/gmock.h>

#include "core/protocol/json.h"
#include "tests/controller/coordinator/samples.h"

namespace longstride {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

class ServiceTest : public ::testing::Test {
 protected:
  ServiceTest() {
    CoordinatorOptions options;
    options.job = MakeJob(1);
    EXPECT_TRUE(
        service_.AddJob({"default", "demo"}, "secret", R"({"kind":"TrainingJob"})", options).ok());
  }

  // The slot that the answer will be in.
  std::shared_ptr<std::optional<HttpResponse>> Ask(const std::string& verb, const std::string& body,
                                                   const std::string& method = "POST",
                                                   const std::string& token = "secret") {
    auto slot = std::make_shared<std::optional<HttpResponse>>();
    service_.Handle({method, "/v1/jobs/default/demo/" + verb, "Bearer " + token, body},
                    [slot](HttpResponse response) { *slot = std::move(response); });
    return slot;
  }
  HttpResponse Answer(const std::string& verb, const std::string& body,
                      const std::string& method = "POST", const std::string& token = "secret") {
    return Ask(verb, body, method, token)->value_or(HttpResponse{0, "no answer yet", ""});
  }
  static ErrorCode CodeOf(const HttpResponse& refused) {
    const auto error = ParseErrorReply(refused.body);
    return error.ok() ? error->code : ErrorCode::kBug;
  }
  std::string Poll(double wait) {
    return ToJsonText(GenerationRequest{MakeJoin(0).worker, {}, 0, "", wait});
  }

  ManualClock clock_;
  CoordinatorService service_{clock_};
};

TEST_F(ServiceTest, IsHealthyWithoutAToken) {
  std::optional<HttpResponse> response;
  service_.Handle({"GET", "/healthz", "", ""}, [&](HttpResponse r) { response = std::move(r); });
  EXPECT_EQ(response->status, 200);
}

TEST_F(ServiceTest, ServesTheJobsManifest) {
  EXPECT_EQ(Answer("job", "", "GET").body, R"({"kind":"TrainingJob"})");
}

TEST_F(ServiceTest, RefusesEveryTokenButItsOwn) {
  for (const std::string token : {"", "secre", "secrets", "SECRET", "tecres"}) {
    EXPECT_EQ(Answer("job", "", "GET", token).status, 401) << token;
  }
  std::optional<HttpResponse> response;
  service_.Handle({"GET", "/v1/jobs/default/demo/job", "", ""},
                  [&](HttpResponse r) { response = r; });
  EXPECT_EQ(response->status, 401);
}

TEST_F(ServiceTest, CountsItsAnswersByStatus) {
  (void)Answer("job", "", "GET");
  (void)Answer("job", "", "GET", "wrong");
  EXPECT_EQ(service_.answers(), (std::map<int, int64_t>{{200, 1}, {401, 1}}));
}

TEST_F(ServiceTest, AnswersWithTheStatusThatDocsProtocolNames) {
  EXPECT_EQ(Answer("join", "{").status, 400);
  EXPECT_EQ(Answer("join", "").status, 400);
  EXPECT_EQ(Answer("dance", "{}").status, 404);
  EXPECT_EQ(Answer("join", "", "GET").status, 405);
  EXPECT_EQ(Answer("job", "", "POST").status, 405);
  RoundReport report = MakeReport({1, 1}, 1, 0, 1);
  EXPECT_EQ(Answer("report", ToJsonText(ReportRequest{MakeJoin(0).worker, report})).status, 409);
  JoinRequest old = MakeJoin(0);
  old.protocol = 0;
  const HttpResponse refused = Answer("join", ToJsonText(old));
  EXPECT_EQ(refused.status, 400);
  const auto error = ParseErrorReply(refused.body);
  ASSERT_TRUE(error.ok());
  EXPECT_EQ(error->code, ErrorCode::kUser);
  EXPECT_THAT(error->message, HasSubstr("protocol 0"));
  for (const std::string path : {"/", "/v1/jobs/", "/v1/jobs/default", "/v1/jobs/default/demo",
                                 "/v2/jobs/default/demo/join"}) {
    std::optional<HttpResponse> response;
    service_.Handle({"POST", path, "Bearer secret", "{}"}, [&](HttpResponse r) { response = r; });
    EXPECT_EQ(response->status, 404) << path;
    EXPECT_EQ(CodeOf(*response), ErrorCode::kUser) << path;
  }
}

// A fresh leader may not know the job yet.
TEST_F(ServiceTest, AnUnknownJobMakesNoWorkerGiveUp) {
  service_.RemoveJob({"default", "demo"});
  const HttpResponse refused = Answer("join", ToJsonText(MakeJoin(0)));
  EXPECT_EQ(refused.status, 404);
  EXPECT_EQ(CodeOf(refused), ErrorCode::kTransient);
  CoordinatorOptions options;
  options.job = MakeJob(1);
  ASSERT_TRUE(service_.AddJob({"default", "demo"}, "secret", "{}", options).ok());
  EXPECT_EQ(Answer("join", ToJsonText(MakeJoin(0))).status, 200);
}

TEST_F(ServiceTest, ALongPollIsAnsweredByTheRequestThatMakesItPossible) {
  ASSERT_EQ(Answer("generation", Poll(0)).status, 200);  // fenced: it has not joined
  CoordinatorOptions options;
  options.job = MakeJob(2);
  ASSERT_TRUE(service_.AddJob({"default", "two"}, "secret", "{}", options).ok());
  std::optional<HttpResponse> poll;
  const auto ask = [&](const std::string& verb, const std::string& body,
                       std::optional<HttpResponse>* slot) {
    service_.Handle({"POST", "/v1/jobs/default/two/" + verb, "Bearer secret", body},
                    [slot](HttpResponse r) {
                      if (slot) *slot = std::move(r);
                    });
  };
  ask("join", ToJsonText(MakeJoin(0)), nullptr);
  ask("generation", Poll(20), &poll);
  EXPECT_FALSE(poll.has_value());
  ask("join", ToJsonText(MakeJoin(1)), nullptr);
  ASSERT_TRUE(poll.has_value());
  const auto reply = ParseGenerationReply(poll->body);
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(reply->state, MemberState::kTraining);
  EXPECT_EQ(reply->generation->members.size(), 2u);
}

TEST_F(ServiceTest, ALongPollSaysNotYetWhenItsTimeHasPassedAndNeverWaitsLongerThanTheCap) {
  ASSERT_EQ(Answer("join", ToJsonText(MakeJoin(0))).status, 200);
  const auto poll = [&](double wait) {
    return Ask("store/read", ToJsonText(StoreReadRequest{{1, 1}, 1, wait}));
  };
  const auto brief = poll(2), endless = poll(60);
  const auto pass = [&](Duration time) {
    for (Duration done{}; done < time; done += milliseconds(500)) {
      clock_.Advance(milliseconds(500));
      Answer("heartbeat", ToJsonText(HeartbeatRequest{MakeJoin(0).worker, {1, 1}, 0}));
      service_.Tick();
    }
  };
  pass(seconds(1));
  EXPECT_FALSE(brief->has_value());
  pass(seconds(1));
  ASSERT_TRUE(brief->has_value());
  EXPECT_EQ((*brief)->body, R"({"entries":[]})");
  EXPECT_FALSE(endless->has_value());
  pass(seconds(24));
  ASSERT_TRUE(endless->has_value());
  EXPECT_EQ((*endless)->status, 200);
}

TEST_F(ServiceTest, PollsOfAJobThatEndsAreAnswered) {
  ASSERT_EQ(Answer("join", ToJsonText(MakeJoin(0))).status, 200);
  const auto poll = Ask("store/read", ToJsonText(StoreReadRequest{{1, 1}, 1, 20}));
  EXPECT_FALSE(poll->has_value());
  service_.WithJob({"default", "demo"}, [](Coordinator& c, TimePoint now) {
    c.WorkerExited("worker", 0, 3, "exited with code 3", true, now);
  });
  ASSERT_TRUE(poll->has_value());
  EXPECT_EQ((*poll)->status, 409);
}

TEST_F(ServiceTest, ParkedPollsAreAnsweredWhenTheServiceCloses) {
  ASSERT_EQ(Answer("join", ToJsonText(MakeJoin(0))).status, 200);
  const auto poll = Ask("store/read", ToJsonText(StoreReadRequest{{1, 1}, 1, 20}));
  service_.Close();
  ASSERT_TRUE(poll->has_value());
  EXPECT_EQ((*poll)->status, 503);
  EXPECT_EQ(Answer("job", "", "GET").status, 503);
}

TEST_F(ServiceTest, EventsAreStampedAndHandedOutOnce) {
  clock_.Advance(seconds(1000));
  ASSERT_EQ(Answer("join", ToJsonText(MakeJoin(0))).status, 200);
  const auto events = service_.WaitForEvents({"default", "demo"}, Duration::zero());
  ASSERT_EQ(Of<JoinedEvent>(events).size(), 1u);
  EXPECT_EQ(events[0].unix_seconds, 1000);
  EXPECT_TRUE(service_.WaitForEvents({"default", "demo"}, Duration::zero()).empty());
}

TEST_F(ServiceTest, WhoDoesNotLeadSaysSoWithTheTerm) {
  service_.StandBy(4);
  const HttpResponse refused = Answer("join", ToJsonText(MakeJoin(0)));
  EXPECT_EQ(refused.status, 421);
  const auto error = ParseErrorReply(refused.body);
  ASSERT_TRUE(error.ok());
  EXPECT_EQ(error->code, ErrorCode::kTransient);
  EXPECT_EQ(error->term, 4);
  service_.Lead();
  EXPECT_EQ(Answer("join", ToJsonText(MakeJoin(0))).status, 200);
}

// Gives the verdict that it is told to.
class FixedAuthenticator final : public Authenticator {
 public:
  void Authenticate(const JobKey&, const std::string&, Done done) override { done(verdict); }
  Verdict verdict;
};

TEST_F(ServiceTest, AWorkerSpeaksForItselfOnly) {
  const auto authenticator = std::make_shared<FixedAuthenticator>();
  CoordinatorOptions options;
  options.job = MakeJob(2);
  ASSERT_TRUE(service_.AddJob({"default", "two"}, authenticator, "{}", options).ok());
  const auto join = [&](int64_t index) {
    HttpResponse response;
    service_.Handle({"POST", "/v1/jobs/default/two/join", "Bearer x", ToJsonText(MakeJoin(index))},
                    [&](HttpResponse r) { response = std::move(r); });
    return response.status;
  };
  authenticator->verdict = {.kind = Verdict::Kind::kAllowed, .place = WorkerPlace{"worker", 1}};
  EXPECT_EQ(join(0), 403);
  EXPECT_EQ(join(1), 200);
  authenticator->verdict = {.kind = Verdict::Kind::kForbidden};
  EXPECT_EQ(join(1), 403);
  authenticator->verdict = {.kind = Verdict::Kind::kUnavailable};
  EXPECT_EQ(join(1), 503);
  authenticator->verdict = {};
  EXPECT_EQ(join(1), 401);
}

TEST_F(ServiceTest, AnEventIsOnRecordBeforeAnyWorkerHearsOfIt) {
  int recorded = 0;
  ASSERT_TRUE(service_.SetEventSink({"default", "demo"}, [&](const Event&) { ++recorded; }));
  int recorded_at_answer = -1;
  service_.Handle({"POST", "/v1/jobs/default/demo/join", "Bearer secret", ToJsonText(MakeJoin(0))},
                  [&](const HttpResponse&) { recorded_at_answer = recorded; });
  EXPECT_EQ(recorded_at_answer, 3);  // joined, planIssued, generationFormed
  EXPECT_TRUE(service_.WaitForEvents({"default", "demo"}, Duration::zero()).empty());
}

TEST_F(ServiceTest, AJobNeedsATokenAndAKeyOfItsOwn) {
  EXPECT_FALSE(service_.AddJob({"default", "open"}, "", "{}", {}).ok());
  EXPECT_FALSE(service_.AddJob({"default", "demo"}, "secret", "{}", {}).ok());
  service_.RemoveJob({"default", "demo"});
  EXPECT_EQ(Answer("job", "", "GET").status, 404);
}

}  // namespace
}  // namespace longstride
