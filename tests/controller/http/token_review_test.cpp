// Each way in which a worker's identity can be wrong, without an API server.
#include "controller/http/token_review.h"

#include <gmock/gmock.h>

#include "core/protocol/base64.h"

namespace longstride {
namespace {

using ::testing::HasSubstr;
using Kind = Verdict::Kind;

// Answers from a table, at once or when told to.
class FakeReviewer final : public TokenReviewer {
 public:
  void Review(const std::string& token, const std::string& audience, Done done) override {
    ++reviews;
    EXPECT_EQ(audience, "longstride");
    if (held) return parked.push_back(std::move(done));
    if (away) return done(TransientError("connection refused"));
    const auto it = tokens.find(token);
    if (it == tokens.end())
      return done(TokenReviewStatus{false, "invalid bearer token", {}, "", ""});
    done(it->second);
  }
  std::map<std::string, TokenReviewStatus> tokens;
  std::vector<Done> parked;
  bool away = false;
  bool held = false;
  int reviews = 0;
};

class FakePods final : public LivePods {
 public:
  [[nodiscard]] FoundPod Find(const std::string& uid) const override {
    const auto it = pods.find(uid);
    return it == pods.end() ? FoundPod() : it->second;
  }
  std::map<std::string, FoundPod> pods;
};

// A token as the API server makes them, as far as it is looked into.
std::string TokenUntil(double expiry, const std::string& name = "a") {
  const std::string payload =
      R"({"exp":)" + std::to_string(static_cast<int64_t>(expiry)) + R"(,"n":")" + name + "\"}";
  std::string text = EncodeBase64({payload.begin(), payload.end()});
  while (!text.empty() && text.back() == '=') text.pop_back();
  return "e30." + text + ".c2ln";
}

class TokenReviewTest : public ::testing::Test {
 protected:
  TokenReviewTest() {
    clock_.Advance(std::chrono::seconds(1000));
    good_ = TokenUntil(4600);
    reviewer_.tokens[good_] = {
        true, "", {"longstride"}, "system:serviceaccount:team:default", "u1"};
    pods_.pods["u1"].live = {kJob, {"worker", 1}};
  }
  Verdict Ask(const std::string& token, const JobKey& job = kJob) {
    std::optional<Verdict> verdict;
    authenticator_.Authenticate(job, token, [&](Verdict v) { verdict = std::move(v); });
    return verdict.value_or(Verdict{.reason = "not answered"});
  }

  inline static const JobKey kJob{"team", "demo"};
  ManualClock clock_;
  FakeReviewer reviewer_;
  FakePods pods_;
  TokenReviewAuthenticator authenticator_{reviewer_, pods_, clock_};
  std::string good_;
};

TEST_F(TokenReviewTest, ALivePodOfTheJobSpeaksForItsOwnPlaceOnly) {
  const Verdict verdict = Ask(good_);
  EXPECT_EQ(verdict.kind, Kind::kAllowed);
  EXPECT_EQ(verdict.place, (WorkerPlace{"worker", 1}));
}

TEST_F(TokenReviewTest, RefusesAMissingToken) {
  EXPECT_EQ(Ask("").kind, Kind::kUnauthenticated);
  EXPECT_EQ(reviewer_.reviews, 0);
}

TEST_F(TokenReviewTest, RefusesAnExpiredTokenWithoutAsking) {
  EXPECT_EQ(Ask(TokenUntil(999)).kind, Kind::kUnauthenticated);
  EXPECT_EQ(reviewer_.reviews, 0);
}

TEST_F(TokenReviewTest, RefusesATokenOnceItHasExpired) {
  ASSERT_EQ(Ask(good_).kind, Kind::kAllowed);
  clock_.Advance(std::chrono::seconds(3600));
  EXPECT_EQ(Ask(good_).kind, Kind::kUnauthenticated);
}

TEST_F(TokenReviewTest, RefusesAForgedToken) {
  EXPECT_EQ(Ask(TokenUntil(4600, "forged")).kind, Kind::kUnauthenticated);
  EXPECT_EQ(Ask("junk").kind, Kind::kUnauthenticated);
  EXPECT_EQ(Ask(std::string(20000, 'x')).kind, Kind::kUnauthenticated);
}

TEST_F(TokenReviewTest, RefusesAnotherAudience) {
  reviewer_.tokens[good_].audiences = {"https://kubernetes.default.svc"};
  const Verdict verdict = Ask(good_);
  EXPECT_EQ(verdict.kind, Kind::kUnauthenticated);
  EXPECT_THAT(verdict.reason, HasSubstr("audience"));
}

TEST_F(TokenReviewTest, RefusesAPodOfAnotherJob) {
  pods_.pods["u1"].live->job.name = "other";
  EXPECT_EQ(Ask(good_).kind, Kind::kForbidden);
}

TEST_F(TokenReviewTest, RefusesAnotherNamespace) {
  reviewer_.tokens[good_].username = "system:serviceaccount:team-b:default";
  EXPECT_EQ(Ask(good_).kind, Kind::kForbidden);
}

TEST_F(TokenReviewTest, RefusesATokenThatIsNotBoundToAPod) {
  reviewer_.tokens[good_].pod_uid = "";
  EXPECT_EQ(Ask(good_).kind, Kind::kForbidden);
}

TEST_F(TokenReviewTest, RefusesADeletedPodAtOnceThoughItsTokenIsKnown) {
  ASSERT_EQ(Ask(good_).kind, Kind::kAllowed);
  pods_.pods["u1"] = {.live = std::nullopt, .gone = true};
  const Verdict verdict = Ask(good_);
  EXPECT_EQ(verdict.kind, Kind::kForbidden);
  EXPECT_EQ(verdict.code, ErrorCode::kLostPeer);
}

TEST_F(TokenReviewTest, APodThatAsksBeforeThereIsWordOfItTriesAgainAndIsAllowedThen) {
  const FoundPod later = pods_.pods["u1"];
  pods_.pods.clear();
  const Verdict verdict = Ask(good_);
  EXPECT_EQ(verdict.kind, Kind::kUnavailable);
  EXPECT_EQ(verdict.code, ErrorCode::kTransient);
  pods_.pods["u1"] = later;
  EXPECT_EQ(Ask(good_).kind, Kind::kAllowed);
  EXPECT_EQ(reviewer_.reviews, 1) << "the token itself was good";
}

TEST_F(TokenReviewTest, AsksOncePerTokenAndGoesOnWhileTheApiServerIsAway) {
  ASSERT_EQ(Ask(good_).kind, Kind::kAllowed);
  reviewer_.away = true;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Ask(good_).kind, Kind::kAllowed);
  EXPECT_EQ(reviewer_.reviews, 1);
}

TEST_F(TokenReviewTest, CannotDecideOnAnUnknownTokenWhileTheApiServerIsAway) {
  reviewer_.away = true;
  const Verdict verdict = Ask(good_);
  EXPECT_EQ(verdict.kind, Kind::kUnavailable);
  EXPECT_EQ(verdict.code, ErrorCode::kTransient);
  reviewer_.away = false;
  EXPECT_EQ(Ask(good_).kind, Kind::kAllowed);
}

TEST_F(TokenReviewTest, KeepsARefusalForAMomentOnly) {
  const TokenReviewStatus later = reviewer_.tokens[good_];
  reviewer_.tokens.clear();
  EXPECT_EQ(Ask(good_).kind, Kind::kUnauthenticated);
  reviewer_.tokens[good_] = later;
  EXPECT_EQ(Ask(good_).kind, Kind::kUnauthenticated);
  EXPECT_EQ(reviewer_.reviews, 1);
  clock_.Advance(std::chrono::seconds(6));
  EXPECT_EQ(Ask(good_).kind, Kind::kAllowed);
}

TEST_F(TokenReviewTest, OneReviewAnswersEverybodyWhoWaitsForIt) {
  reviewer_.held = true;
  int allowed = 0;
  for (int i = 0; i < 5; ++i) {
    authenticator_.Authenticate(kJob, good_,
                                [&](const Verdict& v) { allowed += v.kind == Kind::kAllowed; });
  }
  ASSERT_EQ(reviewer_.parked.size(), 1u);
  EXPECT_EQ(allowed, 0);
  reviewer_.parked[0](reviewer_.tokens[good_]);
  EXPECT_EQ(allowed, 5);
}

TEST_F(TokenReviewTest, AFloodOfUnknownTokensIsHeldOff) {
  reviewer_.held = true;
  Verdict last;
  for (int i = 0; i < 100; ++i) {
    authenticator_.Authenticate(kJob, TokenUntil(4600, std::to_string(i)),
                                [&](Verdict v) { last = std::move(v); });
  }
  EXPECT_EQ(reviewer_.parked.size(), 64u);
  EXPECT_EQ(last.kind, Kind::kUnavailable);
}

}  // namespace
}  // namespace longstride
