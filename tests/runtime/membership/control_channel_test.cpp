#include "runtime/membership/control_channel.h"

#include <gmock/gmock.h>

#include "controller/http/http_server.h"
#include "core/protocol/json.h"
#include "runtime/membership/coordinator_store.h"
#include "tests/controller/coordinator/samples.h"
#include "tests/runtime/membership/fake_client.h"

namespace longstride {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

class ControlChannelTest : public ::testing::Test {
 protected:
  static Generation MakeGeneration(int64_t counter, std::vector<Plan> plans = {}) {
    Generation generation;
    generation.id = {1, counter};
    generation.members = {{MakeJoin(0).worker, "10.0.0.1"}};
    generation.plans = std::move(plans);
    return generation;
  }
  std::unique_ptr<QueuedControlChannel> MakeChannel() {
    return std::make_unique<QueuedControlChannel>(
        client_, MakeJoin(0),
        [this](const HeartbeatReply& reply) {
          const std::lock_guard lock(mutex_);
          over_.push_back(reply);
          told_.notify_all();
        },
        silent_, period_);
  }
  bool AwaitOver(size_t times) {
    std::unique_lock lock(mutex_);
    return told_.wait_for(lock, seconds(20), [&] { return over_.size() >= times; });
  }

  Duration period_ = milliseconds(5);
  std::function<std::vector<int64_t>(GenerationId)> silent_;
  const std::shared_ptr<FakeClient> client_ = std::make_shared<FakeClient>();
  std::mutex mutex_;
  std::condition_variable told_;
  std::vector<HeartbeatReply> over_;
};

TEST_F(ControlChannelTest, SendsReportsInOrderAndAgainUntilTheyAreTaken) {
  auto channel = MakeChannel();
  channel->Enter(MakeGeneration(1), 0);
  client_->FailReports(1, TransientError("refused"));
  for (int64_t round = 1; round <= 5; ++round) channel->Report(MakeReport({1, 1}, round, 0, 1));
  ASSERT_TRUE(channel->Flush(seconds(20)).ok());
  EXPECT_THAT(client_->reported(), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(client_->attempts(), 6);
}

TEST_F(ControlChannelTest, TellsOfSilentPeersWithTheNextHeartbeatWhichNewsMakeDueAtOnce) {
  period_ = hours(1);
  std::atomic<bool> cut = false;
  silent_ = [&](GenerationId id) {
    return cut && id == GenerationId{1, 1} ? std::vector<int64_t>{2} : std::vector<int64_t>{};
  };
  auto channel = MakeChannel();
  channel->Enter(MakeGeneration(1), 0);
  cut = true;
  channel->HeartbeatNow();
  client_->AwaitSilent({2});
  channel->Enter(MakeGeneration(2), 0);
  channel->HeartbeatNow();
  client_->AwaitSilent({});
}

TEST_F(ControlChannelTest, KnowsThePlansOfItsGenerationAndThoseThatRepliesBring) {
  auto channel = MakeChannel();
  const Plan one{1, 1, {}, 0}, two{2, 5, {}, 0}, three{3, 3, {}, 0};
  channel->Enter(MakeGeneration(1, {one, two}), 0);
  client_->AnswerReports({{two, three}, false, ""});
  channel->Report(MakeReport({1, 1}, 1, 0, 1));
  ASSERT_TRUE(channel->Flush(seconds(20)).ok());
  std::vector<int64_t> versions;
  for (const Plan& plan : channel->Plans()) versions.push_back(plan.version);
  EXPECT_THAT(versions, ElementsAre(1, 3, 2));  // by first round
}

TEST_F(ControlChannelTest, TellsOfTheEndOfAGenerationOnce) {
  auto channel = MakeChannel();
  channel->Enter(MakeGeneration(1), 0);
  client_->AnswerHeartbeats({MemberState::kReform, false, "", false, "a member was lost"});
  ASSERT_TRUE(AwaitOver(1));
  channel->Enter(MakeGeneration(2), 0);  // the next one's end is told again, and only then
  ASSERT_TRUE(AwaitOver(2));
  channel.reset();
  ASSERT_EQ(over_.size(), 2u);
  EXPECT_EQ(over_[0].reason, "a member was lost");
}

TEST_F(ControlChannelTest, AFencedReportEndsTheGenerationAndEmptiesTheQueue) {
  auto channel = MakeChannel();
  channel->Enter(MakeGeneration(1), 0);
  client_->FailReports(1, LostPeerError("this generation is over"));
  channel->Report(MakeReport({1, 1}, 1, 0, 1));
  ASSERT_TRUE(AwaitOver(1));
  ASSERT_TRUE(channel->Flush(seconds(20)).ok());
  channel.reset();
  EXPECT_EQ(over_[0].state, MemberState::kFenced);
  EXPECT_TRUE(client_->reported().empty());
}

TEST_F(ControlChannelTest, ARefusalOfAnEarlierGenerationsReportDoesNotTouchThePresentOne) {
  auto channel = MakeChannel();
  channel->Enter(MakeGeneration(1), 0);
  client_->FailReports(1, TransientError("refused"));
  channel->Report(MakeReport({1, 1}, 1, 0, 1));
  channel->Enter(MakeGeneration(2), 0);
  channel->Report(MakeReport({1, 2}, 2, 0, 1));
  ASSERT_TRUE(channel->Flush(seconds(20)).ok());
  channel.reset();
  EXPECT_TRUE(over_.empty());
  EXPECT_EQ(client_->reported().back(), 2);
}

TEST_F(ControlChannelTest, BringsTheRequestToStop) {
  auto channel = MakeChannel();
  channel->Enter(MakeGeneration(1), 0);
  EXPECT_EQ(channel->Requested(), BoundaryRequest::kNone);
  client_->AnswerReports({{}, true, "suspended"});
  channel->Report(MakeReport({1, 1}, 1, 0, 1));
  ASSERT_TRUE(channel->Flush(seconds(20)).ok());
  EXPECT_EQ(channel->Requested(), BoundaryRequest::kStop);
  EXPECT_EQ(channel->stop_reason(), "suspended");
}

TEST_F(ControlChannelTest, ARequestToReformEndsWithTheGenerationThatItIsAbout) {
  auto channel = MakeChannel();
  channel->Enter(MakeGeneration(1), 0);
  client_->AnswerReports({{}, false, "", true});
  channel->Report(MakeReport({1, 1}, 1, 0, 1));
  ASSERT_TRUE(channel->Flush(seconds(20)).ok());
  EXPECT_EQ(channel->Requested(), BoundaryRequest::kReform);
  channel->Enter(MakeGeneration(2), 0);
  EXPECT_EQ(channel->Requested(), BoundaryRequest::kNone);
}

TEST_F(ControlChannelTest, RegistersWithACoordinatorThatDoesNotKnowTheWorkerAndTrainsOn) {
  auto channel = MakeChannel();
  channel->Enter(MakeGeneration(1, {{1, 1, {}, 0}}), 4);
  client_->AnswerReports({{{2, 9, {}, 0}}, false, "", false, /*committed=*/5});
  RoundReport fifth = MakeReport({1, 1}, 5, 0, 1);
  fifth.checkpoint = CommittedCheckpoint{4, 4 * 1024, 500};
  channel->Report(fifth);
  ASSERT_TRUE(channel->Flush(seconds(20)).ok());
  RoundReport sixth = MakeReport({1, 1}, 6, 0, 1);
  sixth.delta_finite = false;
  channel->Report(sixth);  // taken, and not known to be committed
  ASSERT_TRUE(channel->Flush(seconds(20)).ok());
  client_->FailReports(1 << 30, TransientError("refused"));
  channel->Report(MakeReport({1, 1}, 7, 0, 1));
  client_->AnswerHeartbeats({MemberState::kUnknown, false, "", false, ""});
  const RegisterRequest told = client_->AwaitRegistration();
  EXPECT_EQ(told.join.worker, MakeJoin(0).worker);
  ASSERT_TRUE(told.generation.has_value());
  EXPECT_EQ(told.generation->id, (GenerationId{1, 1}));
  EXPECT_EQ(told.generation->plans.size(), 2u);
  EXPECT_FALSE(told.left);
  EXPECT_EQ(told.round, 7);
  EXPECT_EQ(told.settled, 5);
  ASSERT_EQ(told.reports.size(), 2u);
  EXPECT_EQ(told.reports[0].round, 6);
  EXPECT_EQ(told.totals.rounds, 3);
  EXPECT_EQ(told.totals.samples, 2 * 1024) << "without what was discarded";
  ASSERT_TRUE(told.checkpoint.has_value()) << "though no report tells of it again";
  EXPECT_EQ(told.checkpoint->round, 4);
  EXPECT_TRUE(channel->Flush(seconds(20)).ok()) << "registering has taken the report along";
  channel.reset();
  EXPECT_TRUE(over_.empty());
}

TEST_F(ControlChannelTest, GivesUpTheOldestReportsRatherThanGrow) {
  auto channel = MakeChannel();
  channel->Enter(MakeGeneration(1), 0);
  client_->FailReports(1 << 30, TransientError("refused"));
  const auto many = static_cast<int64_t>(kMaxUnsettledReports) + 10;
  for (int64_t round = 1; round <= many; ++round) channel->Report(MakeReport({1, 1}, round, 0, 1));
  client_->AnswerHeartbeats({MemberState::kUnknown, false, "", false, ""});
  const RegisterRequest told = client_->AwaitRegistration();
  EXPECT_EQ(told.settled, 10);
  EXPECT_EQ(told.reports.front().round, 11);
  client_->FailReports(0, {});
  ASSERT_TRUE(channel->Flush(seconds(20)).ok());
  ASSERT_FALSE(client_->reported().empty()) << "so many are too long for one registration";
  EXPECT_EQ(client_->reported().back(), many);
}

// Of which not all that wait fit into one request.
RoundReport LongReport(int64_t round) {
  RoundReport report = MakeReport({1, 1}, round, 0, 1);
  for (int64_t i = 0; i < 100; ++i) report.holes.push_back({1000000 + 2 * i, 1000001 + 2 * i});
  return report;
}

TEST_F(ControlChannelTest, RegistersWithTheOldestReportsThatABodyHoldsAndSendsTheOthersAfterIt) {
  auto channel = MakeChannel();
  channel->Enter(MakeGeneration(1), 0);
  client_->FailReports(1 << 30, TransientError("refused"));
  constexpr int64_t kRounds = 2000;
  for (int64_t round = 1; round <= kRounds; ++round) channel->Report(LongReport(round));
  client_->AnswerHeartbeats({MemberState::kUnknown, false, "", false, ""});
  const RegisterRequest told = client_->AwaitRegistration();
  EXPECT_LT(ToJsonText(told).size(), HttpServerOptions().max_body_bytes);
  ASSERT_GT(told.reports.size(), kRounds / 4);
  ASSERT_LT(told.reports.size(), kRounds);
  EXPECT_EQ(told.reports.front().round, 1);
  client_->FailReports(0, {});
  ASSERT_TRUE(channel->Flush(seconds(20)).ok());
  // One report may have been under way.
  const std::vector<int64_t> sent = client_->reported();
  EXPECT_LE(sent.front(), told.reports.back().round + 1);
  EXPECT_EQ(sent.back(), kRounds);
  EXPECT_GE(sent.size(), kRounds - told.reports.size());
}

// Plan v is due in round v.
std::vector<Plan> ManyPlans(int64_t count) {
  std::vector<Plan> plans;
  for (int64_t v = 1; v <= count; ++v) plans.push_back({v, v, std::vector<PlanShare>(16), 0.1});
  return plans;
}

TEST_F(ControlChannelTest, ForgetsPlansThatCanGovernNoRoundAnyMore) {
  auto channel = MakeChannel();
  constexpr int64_t kRounds = 5000;  // whose plans together are too long for a body
  channel->Enter(MakeGeneration(1, ManyPlans(kRounds)), 0);
  client_->FailReports(1 << 30, TransientError("refused"));
  for (int64_t round = 1; round <= kRounds; ++round) {
    RoundReport report = MakeReport({1, 1}, round, 0, 1);
    report.plan_version = round;
    channel->Report(report);
  }
  client_->AnswerHeartbeats({MemberState::kUnknown, false, "", false, ""});
  const RegisterRequest told = client_->AwaitRegistration();
  EXPECT_LT(ToJsonText(told).size(), HttpServerOptions().max_body_bytes);
  ASSERT_TRUE(told.generation.has_value());
  ASSERT_EQ(told.generation->plans.size(), 1u);
  EXPECT_EQ(told.generation->plans[0].version, kRounds);
  EXPECT_FALSE(told.reports.empty());
}

TEST_F(ControlChannelTest, RegistersWithFewerReportsWhereThePlansAreLong) {
  auto channel = MakeChannel();
  channel->Enter(MakeGeneration(1, ManyPlans(2000)), 0);
  client_->FailReports(1 << 30, TransientError("refused"));
  // All under the first plan.
  for (int64_t round = 1; round <= 2000; ++round) channel->Report(LongReport(round));
  client_->AnswerHeartbeats({MemberState::kUnknown, false, "", false, ""});
  const RegisterRequest told = client_->AwaitRegistration();
  EXPECT_LT(ToJsonText(told).size(), HttpServerOptions().max_body_bytes);
  EXPECT_EQ(told.generation->plans.size(), 2000u);
  EXPECT_FALSE(told.reports.empty());
}

TEST_F(ControlChannelTest, EndsAtOnceThoughReportsAreWaiting) {
  auto channel = MakeChannel();
  channel->Enter(MakeGeneration(1), 0);
  client_->FailReports(1 << 30, TransientError("refused"));
  channel->Report(MakeReport({1, 1}, 1, 0, 1));
  EXPECT_EQ(channel->Flush(milliseconds(1)).error().code, ErrorCode::kTransient);
}

TEST(CoordinatorStore, OneReadBringsEveryKey) {
  const auto client = std::make_shared<FakeClient>();
  CoordinatorStore store(client, {1, 1}, 3);
  for (const char* key : {"a", "b", "c"}) ASSERT_TRUE(store.Set(key, {1}).ok());
  for (const char* key : {"a", "b", "c"}) EXPECT_TRUE(store.Get(key, hours(1)).ok());
  EXPECT_THAT(client->reads(), ElementsAre(3));
}

TEST(CoordinatorStore, AKeyThatWasNotExpectedCostsOneReadMore) {
  const auto client = std::make_shared<FakeClient>();
  CoordinatorStore store(client, {1, 1}, 1);
  ASSERT_TRUE(store.Set("a", {1}).ok());
  ASSERT_TRUE(store.Get("a", hours(1)).ok());
  ASSERT_TRUE(store.Set("b", {2}).ok());
  EXPECT_EQ(*store.Get("b", hours(1)), std::vector<uint8_t>{2});
  EXPECT_THAT(client->reads(), ElementsAre(1, 2));
}

}  // namespace
}  // namespace longstride
