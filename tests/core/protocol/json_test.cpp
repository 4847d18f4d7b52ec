#include "core/protocol/json.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/random.h"
#include "core/protocol/round_record.h"

namespace longstride {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

JoinRequest MakeJoin() {
  JoinRequest join;
  join.worker = {"worker", 3, "boot-1"};
  join.address = "10.1.2.3";
  join.metrics_port = 9090;
  join.profile.alpha = 0.1;
  join.profile.beta = 1.0 / 3.0;
  join.profile.micro_batch_cap = 64;
  join.profile.points = {{8, 0.25}, {16, 0.5}};
  join.generation = {2, 5};
  join.round = 7;
  join.parameters = 411000;
  return join;
}

RoundReport MakeReport() {
  RoundReport report;
  report.generation = {1, 1};
  report.round = 4;
  report.cursor_begin = 100;
  report.cursor_end = 200;
  report.committed = {{90, 95}, {100, 195}};
  report.discarded = {{195, 198}};
  report.lost = report.holes = {{198, 200}};
  report.shards = {{0, 50, 100}, {3, 50, 100}};
  report.skew_limit = 7;
  report.samples = 100;
  report.total_samples = 195;
  report.loss = 0.1 + 0.2;
  report.evaluation_loss = 0.5;
  report.digest = "0123456789abcdef";
  report.step_times = {{32, 0.01}};
  report.micro_batch_cap = 16;
  report.bytes_sent = {1, 2, 3, 4, 5, 6};
  report.checkpoint = CommittedCheckpoint{3, 95, 1.75e9};
  return report;
}

TEST(ProtocolJson, AWorkerOfAReleaseBeforeLeavesWithoutSayingMidRound) {
  nlohmann::json leave =
      nlohmann::json::parse(ToJsonText(LeaveRequest{{"worker", 3, "boot-1"}, {1, 2}, 9, 7, "bye"}));
  leave.erase("midRound");
  const auto read = ParseLeaveRequest(leave.dump());
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_FALSE(read->mid_round);
}

TEST(ProtocolJson, EveryMessageSurvivesTheWay) {
  // What is written again from what was read is the same text, and no member is left out (each is
  // named in one place for both ways).
  const auto same = [](const auto& message, const auto& parse) {
    const std::string text = ToJsonText(message);
    const auto read = parse(text);
    ASSERT_TRUE(read.ok()) << read.error().message << " in " << text;
    EXPECT_EQ(ToJsonText(*read), text);
  };
  const WorkerId worker{"worker", 3, "boot-1"};
  const Plan plan{2, 10, {{0.1, 0.2, 64, 1, 512}, {0.3, 0.4, 32, 1, 512}}, 0.75};
  GenerationReply formed;
  formed.state = MemberState::kTraining;
  formed.generation =
      Generation{{1, 2}, 1, {{worker, "10.0.0.1"}, {worker, "10.0.0.2"}}, "gloo", {plan}};
  same(MakeJoin(), ParseJoinRequest);
  same(plan, ParsePlan);
  same(GenerationRequest{worker, {1, 2}, 7, "connection reset", 20}, ParseGenerationRequest);
  same(formed, ParseGenerationReply);
  same(GenerationReply{MemberState::kEnded, {}, true, "worker worker-1 was lost"},
       ParseGenerationReply);
  same(ReportRequest{worker, MakeReport()}, ParseReportRequest);
  same(RoundReply{{plan}, true, "suspended", true, 17}, ParseRoundReply);
  const WorkerTotals totals{9, 900, 3, {0.1, 2, 0.3, 0, 0, 0}, 2.5, {1, 2}, {3, 4}};
  const CommittedCheckpoint checkpoint{8, 800, 1.75e9};
  same(
      RegisterRequest{
          MakeJoin(), formed.generation, true, true, 9, 7, totals, {MakeReport()}, checkpoint},
      ParseRegisterRequest);
  same(RegisterRequest{MakeJoin(), {}, false, false, 0, 0, {}, {}}, ParseRegisterRequest);
  same(HeartbeatRequest{worker, {1, 2}, 9, true, {0, 3}}, ParseHeartbeatRequest);
  same(HeartbeatReply{MemberState::kReform, true, "a", true, "b"}, ParseHeartbeatReply);
  same(LeaveRequest{worker, {1, 2}, 9, 3, "truncated file"}, ParseLeaveRequest);
  same(LeaveRequest{worker, {1, 2}, 9, 7, "no time left", true}, ParseLeaveRequest);
  same(LeaveRequest{worker, {1, 2}, 9, 0, "completed", false, checkpoint}, ParseLeaveRequest);
  same(StoreSetRequest{{1, 2}, "rank/0", {0, 255, 7}}, ParseStoreSetRequest);
  same(StoreReadRequest{{1, 2}, 4, 20}, ParseStoreReadRequest);
  same(StoreReply{{{"a", {1}}, {"b", {}}}}, ParseStoreReply);
  same(ErrorReply{ErrorCode::kLostPeer, "fenced", {}}, ParseErrorReply);
  same(ErrorReply{ErrorCode::kTransient, "not the leader", 7}, ParseErrorReply);
}

TEST(ProtocolJson, NumbersKeepTheirBits) {
  SeededRandom random(11);
  for (int i = 0; i < 1000; ++i) {
    Plan plan{1, 1, {}, 0};
    plan.sync_seconds =
        random.NextUniform() * std::pow(10.0, static_cast<double>(random.NextBelow(16)) - 8);
    const auto read = ParsePlan(ToJsonText(plan));
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read->sync_seconds, plan.sync_seconds) << "seed 11, draw " << i;
  }
}

TEST(ProtocolJson, MeasuredValuesMayBeNotANumberAndAbsentOnesStayAbsent) {
  RoundReport report = MakeReport();
  report.loss = std::nan("");
  report.noise_scale = std::numeric_limits<double>::infinity();
  report.evaluation_loss = std::nan("");
  const auto read = ParseReportRequest(ToJsonText(ReportRequest{{"w", 0, "1"}, report}));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_TRUE(std::isnan(read->report.loss));
  EXPECT_TRUE(std::isnan(read->report.noise_scale));
  ASSERT_TRUE(read->report.evaluation_loss.has_value());
  EXPECT_TRUE(std::isnan(*read->report.evaluation_loss));
  EXPECT_FALSE(read->report.evaluation_accuracy.has_value());
  report.micro_batch_cap.reset();
  EXPECT_FALSE(ParseReportRequest(ToJsonText(ReportRequest{{"w", 0, "1"}, report}))
                   ->report.micro_batch_cap.has_value());
}

TEST(ProtocolJson, APlansNumbersMustBeFinite) {
  Plan plan{1, 1, {{0.1, std::nan(""), 1, 1, 1}}, 0};
  const auto read = ParsePlan(ToJsonText(plan));
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message, HasSubstr("shares[0].beta"));
}

TEST(ProtocolJson, MembersThatCameLaterMayBeMissing) {
  json heartbeat =
      json::parse(ToJsonText(HeartbeatRequest{{"worker", 0, "1"}, {1, 2}, 9, true, {3}}));
  heartbeat.erase("silent");
  const auto read = ParseHeartbeatRequest(heartbeat.dump());
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_TRUE(read->silent.empty());
  json join = json::parse(ToJsonText(MakeJoin()));
  join.erase("tetherPort");
  EXPECT_TRUE(ParseJoinRequest(join.dump()).ok());
  json report = json::parse(ToJsonText(ReportRequest{{"w", 0, "1"}, MakeReport()}));
  report["report"].erase("totalSamples");
  report["report"].erase("checkpoint");
  const auto told = ParseReportRequest(report.dump());
  ASSERT_TRUE(told.ok()) << told.error().message;
  EXPECT_FALSE(told->report.total_samples.has_value());
  EXPECT_FALSE(told->report.checkpoint.has_value());
}

TEST(ProtocolJson, MembersThatTheReaderDoesNotKnowAreIgnored) {
  json text = json::parse(ToJsonText(MakeJoin()));
  text["addedLater"] = {{"a", 1}};
  text["profile"]["addedLater"] = 2;
  EXPECT_TRUE(ParseJoinRequest(text.dump()).ok());
}

TEST(ProtocolJson, AJoinInAnotherVersionIsReadAsFarAsItsVersion) {
  const auto read = ParseJoinRequest(R"({"protocol": 4, "whatThatVersionSays": 1})");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->protocol, 4);
  EXPECT_FALSE(ParseJoinRequest(R"({"protocol": 3, "whatThatVersionSays": 1})").ok());
}

struct Broken {
  const char* pointer;  // JSON pointer of the member to replace; "-" first: to remove
  json value;
  const char* fault;
};
class BrokenJoin : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenJoin, IsRefusedNamingThePath) {
  json text = json::parse(ToJsonText(MakeJoin()));
  const std::string pointer = GetParam().pointer;
  if (pointer[0] == '-') {
    text.erase(pointer.substr(1));
  } else {
    text[json::json_pointer(pointer)] = GetParam().value;
  }
  const auto read = ParseJoinRequest(text.dump());
  ASSERT_FALSE(read.ok()) << text;
  EXPECT_EQ(read.error().code, ErrorCode::kUser);
  EXPECT_THAT(read.error().message, HasSubstr(GetParam().fault));
}
INSTANTIATE_TEST_SUITE_P(
    All, BrokenJoin,
    ::testing::Values(
        Broken{"-worker", {}, "worker: is missing"},
        Broken{"/worker", 3, "worker: is not an object"},
        Broken{"/worker/group", 3, "worker.group: is not a string"},
        Broken{"/worker/group", std::string(254, 'a'), "worker.group: is longer than 253"},
        Broken{"/worker/index", -1, "worker.index: is not an integer"},
        Broken{"/worker/index", 1.5, "worker.index: is not an integer"},
        Broken{"/worker/index", 18446744073709551615u, "worker.index: is not an integer"},
        Broken{"/worker/index", "0", "worker.index: is not an integer"},
        Broken{"/metricsPort", 70000, "metricsPort: is not an integer from 0 to 65535"},
        Broken{"/profile/alpha", -0.1, "profile.alpha: is not a number"},
        Broken{"/profile/alpha", nullptr, "profile.alpha: is not a number"},
        Broken{"/profile/microBatchCap", 0, "profile.microBatchCap"},
        Broken{"/profile/points", 1, "profile.points: is not an array"},
        Broken{"/profile/points", json::array({json::array({1})}), "profile.points[0]"},
        Broken{"/profile/points", json::array({json::array({1, "x"})}), "profile.points[0][1]"},
        Broken{"/profile/points", json(std::vector<int>(1025)), "has 1025 elements"},
        Broken{"/generation/term", 1e300, "generation.term"}));

TEST(ProtocolJson, ARangeOfPositionsMustBeOne) {
  for (const char* broken : {"[[2, 1]]", "[[-1, 1]]", "[[1]]", "[1, 2]", "3"}) {
    json text = json::parse(ToJsonText(ReportRequest{{"w", 0, "1"}, MakeReport()}));
    text["report"]["lost"] = json::parse(broken);
    const auto read = ParseReportRequest(text.dump());
    ASSERT_FALSE(read.ok()) << broken;
    EXPECT_THAT(read.error().message, HasSubstr("report.lost"));
  }
}

TEST(ProtocolJson, TextThatIsNotAMessageIsRefused) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string("{}"),
        std::string("{\"worker\":\"\xff\"}"), std::string("{\"a\":1}{}"), std::string(100000, '['),
        std::string("{\"a\":") + std::string(100, '[') + std::string(100, ']') + "}"}) {
    EXPECT_FALSE(ParseJoinRequest(text).ok()) << text.substr(0, 50);
  }
}

TEST(ProtocolJson, AGenerationMustFitItself) {
  json text = json::parse(R"({"state":"training","failed":false,"reason":"","generation":{
    "id":{"term":1,"counter":1},"rank":0,"members":[{"worker":{"group":"a","index":0,"incarnation":"1"},
    "address":"10.0.0.1"}],"backend":"gloo","plans":[{"version":1,"firstRound":1,"syncSeconds":0,"shares":[
    {"alpha":0,"beta":1,"microBatchCap":1,"minBatch":1,"maxBatch":2}]}]}})");
  EXPECT_TRUE(ParseGenerationReply(text.dump()).ok());
  json wrong = text;
  wrong["generation"]["rank"] = 1;
  EXPECT_FALSE(ParseGenerationReply(wrong.dump()).ok());
  wrong = text;
  wrong["generation"]["plans"][0]["shares"] = json::array();
  EXPECT_FALSE(ParseGenerationReply(wrong.dump()).ok());
  wrong = text;
  wrong.erase("generation");
  EXPECT_FALSE(ParseGenerationReply(wrong.dump()).ok());
  wrong = text;
  wrong["state"] = "dancing";
  EXPECT_FALSE(ParseGenerationReply(wrong.dump()).ok());
}

TEST(ProtocolJson, LongReasonsAreCutSoThatTheOtherSideTakesThem) {
  LeaveRequest leave{{"w", 0, "1"}, {1, 1}, 0, 1, std::string(100000, 'x')};
  const auto read = ParseLeaveRequest(ToJsonText(leave));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->reason.size(), 8192u);
  leave.reason = std::string(100000, '\xff');  // not UTF-8
  EXPECT_TRUE(ParseLeaveRequest(ToJsonText(leave)).ok());
}

TEST(RoundRecordJson, SurvivesTheWay) {
  RoundRecord record;
  record.unix_seconds = 1.75e9;
  for (int64_t r = 0; r < 3; ++r) {
    RoundReport report = MakeReport();
    report.rank = r;
    report.local_batch = 32 + r;
    report.delta_finite = r != 1;
    if (r > 0) report.checkpoint.reset();
    report.seconds.compute = 0.5 * static_cast<double>(r);
    record.reports.push_back(report);
    record.workers.push_back({"worker", r, "boot"});
  }
  const std::string line = ToJsonLine(record);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto read = ParseRoundRecord(line);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(ToJsonLine(*read), line);
  EXPECT_EQ(read->reports[2].round, 4);
  EXPECT_EQ(read->reports[2].local_batch, 34);
  ASSERT_TRUE(read->reports[0].checkpoint.has_value());
  EXPECT_EQ(read->reports[0].checkpoint->samples, 95);
  EXPECT_FALSE(read->reports[1].checkpoint.has_value()) << "each says what it has committed itself";
  EXPECT_EQ(read->workers[2].index, 2);
}

TEST(RoundRecordJson, RefusesWorkersOutOfRankOrder) {
  RoundRecord record;
  record.reports = {MakeReport(), MakeReport()};
  record.workers = {{"worker", 0, "1"}, {"worker", 1, "1"}};
  EXPECT_FALSE(ParseRoundRecord(ToJsonLine(record)).ok());  // both say rank 0
}

}  // namespace
}  // namespace longstride
