#include "controller/coordinator/coordinator.h"

#include <gmock/gmock.h>

#include "tests/controller/coordinator/samples.h"

namespace longstride {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

class CoordinatorTest : public ::testing::Test {
 protected:
  void Make(int64_t replicas, CoordinatorOptions options = {}) {
    if (options.job.metadata.name.empty()) options.job = MakeJob(replicas);
    options.term = 7;
    coordinator_ = std::make_unique<Coordinator>(options, clock_.Now());
    replicas_ = replicas;
  }
  // Time passes in the steps of the host's ticker.
  void Pass(Duration time, const std::vector<int64_t>& alive = {}) {
    for (Duration done{}; done < time; done += milliseconds(100)) {
      clock_.Advance(milliseconds(100));
      for (const int64_t i : alive) Beat(i);
      coordinator_->Tick(clock_.Now());
    }
    Collect();
  }
  Status Join(int64_t index) { return coordinator_->Join(MakeJoin(index), clock_.Now()); }
  void JoinAll() {
    for (int64_t i = 0; i < replicas_; ++i) ASSERT_TRUE(Join(i).ok());
    Collect();
  }
  HeartbeatReply Beat(int64_t index) {
    return coordinator_->Heartbeat({MakeJoin(index).worker, kFirst, 0}, clock_.Now());
  }
  std::optional<GenerationReply> Poll(int64_t index, GenerationId after = {}) {
    return coordinator_->PollGeneration({MakeJoin(index).worker, after, 1});
  }
  Result<RoundReply> Report(const RoundReport& report) {
    auto reply = coordinator_->Report({MakeJoin(report.rank).worker, report}, clock_.Now());
    Collect();
    return reply;
  }
  void ReportAll(int64_t round) {
    for (int64_t r = 0; r < replicas_; ++r)
      ASSERT_TRUE(Report(MakeReport(kFirst, round, r, replicas_)).ok());
  }
  void Leave(int64_t index, int exit_code, const std::string& reason) {
    ASSERT_TRUE(
        coordinator_->Leave({MakeJoin(index).worker, kFirst, 0, exit_code, reason}, clock_.Now())
            .ok());
    Collect();
  }
  void Collect() {
    for (Event& e : coordinator_->DrainEvents()) events_.push_back(std::move(e));
  }
  JobEnd End() {
    return coordinator_->end().value_or(JobEnd{JobOutcome::kPlanned, {}, "not ended"});
  }

  static constexpr GenerationId kFirst{7, 1};
  ManualClock clock_;
  std::unique_ptr<Coordinator> coordinator_;
  int64_t replicas_ = 0;
  std::vector<Event> events_;
};

TEST_F(CoordinatorTest, NoGenerationBeforeAllReplicasHaveJoined) {
  Make(3);
  ASSERT_TRUE(Join(0).ok());
  ASSERT_TRUE(Join(2).ok());
  EXPECT_FALSE(Poll(0).has_value());
  ASSERT_TRUE(Join(1).ok());
  ASSERT_TRUE(Poll(0).has_value());
  EXPECT_EQ(Poll(0)->generation->id, kFirst);
}

TEST_F(CoordinatorTest, RanksAreSortedByGroupAndIndexWhateverTheOrderOfArrival) {
  CoordinatorOptions options;
  options.job = MakeJob(4);
  options.job.spec.workers = MakeGroups({"slow", "fast"});
  Make(4, options);
  for (const auto& [group, index] : std::vector<std::pair<std::string, int64_t>>{
           {"slow", 1}, {"fast", 1}, {"slow", 0}, {"fast", 0}}) {
    ASSERT_TRUE(coordinator_->Join(MakeJoin(index, group), clock_.Now()).ok());
  }
  const auto reply = coordinator_->PollGeneration({MakeJoin(0, "slow").worker, {}, 1});
  ASSERT_TRUE(reply && reply->generation);
  std::vector<std::string> names;
  for (const Member& m : reply->generation->members) {
    names.push_back(m.worker.group + std::to_string(m.worker.index));
  }
  EXPECT_THAT(names, ::testing::ElementsAre("fast0", "fast1", "slow0", "slow1"));
  EXPECT_EQ(reply->generation->rank, 2);
}

TEST_F(CoordinatorTest, AGenerationThatTheWorkerKnowsIsNotGivenAgain) {
  Make(1);
  JoinAll();
  EXPECT_TRUE(Poll(0).has_value());
  EXPECT_FALSE(Poll(0, kFirst).has_value());
}

TEST_F(CoordinatorTest, JoinRefusesWhatDoesNotFitTheJob) {
  Make(2);
  JoinRequest other_protocol = MakeJoin(0);
  other_protocol.protocol = kProtocolVersion + 1;
  const auto refusal = [&](const JoinRequest& join) {
    const Status status = coordinator_->Join(join, clock_.Now());
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kUser);
    return status.error().message;
  };
  EXPECT_THAT(refusal(other_protocol), HasSubstr("protocol 2, the coordinator 1"));
  EXPECT_THAT(refusal(MakeJoin(0, "gpu")), HasSubstr("no worker group \"gpu\""));
  EXPECT_THAT(refusal(MakeJoin(2)), HasSubstr("out of range"));
}

TEST_F(CoordinatorTest, JoinRefusesMoreThanTheReplicas) {
  CoordinatorOptions options;
  options.job = MakeJob(2);
  options.job.spec.workers = MakeGroups({"a", "b"});
  Make(2, options);
  ASSERT_TRUE(coordinator_->Join(MakeJoin(0, "a"), clock_.Now()).ok());
  ASSERT_TRUE(coordinator_->Join(MakeJoin(0, "b"), clock_.Now()).ok());
  const Status third = coordinator_->Join(MakeJoin(1, "b"), clock_.Now());
  ASSERT_FALSE(third.ok());
  EXPECT_THAT(third.error().message, HasSubstr("all 2 replicas"));
}

TEST_F(CoordinatorTest, ANewIncarnationTakesOverBeforeTrainingBegins) {
  Make(2);
  ASSERT_TRUE(coordinator_->Join(MakeJoin(0, "worker", "old"), clock_.Now()).ok());
  ASSERT_TRUE(coordinator_->Join(MakeJoin(0, "worker", "new"), clock_.Now()).ok());
  ASSERT_TRUE(coordinator_->Join(MakeJoin(1, "worker", "one"), clock_.Now()).ok());
  const auto old = coordinator_->PollGeneration({MakeJoin(0, "worker", "old").worker, {}, 1});
  ASSERT_TRUE(old.has_value());
  EXPECT_EQ(old->state, MemberState::kFenced);
  const auto present = coordinator_->PollGeneration({MakeJoin(0, "worker", "new").worker, {}, 1});
  EXPECT_EQ(present->state, MemberState::kTraining);
}

TEST_F(CoordinatorTest, AJoinThatIsSentAgainChangesNothing) {
  Make(2);
  JoinAll();
  EXPECT_TRUE(Join(1).ok());
  EXPECT_FALSE(coordinator_->end().has_value());
  Collect();
  EXPECT_EQ(Of<JoinedEvent>(events_).size(), 2u);
}

TEST_F(CoordinatorTest, AMemberThatStartsAnewWasLost) {
  Make(2);
  JoinAll();
  EXPECT_FALSE(coordinator_->Join(MakeJoin(1, "worker", "2"), clock_.Now()).ok());
  EXPECT_EQ(End().outcome, JobOutcome::kFailed);
  EXPECT_THAT(End().reason, HasSubstr("worker worker-1 was lost"));
}

TEST_F(CoordinatorTest, RoundsAreCommittedOnceEveryRankHasReported) {
  Make(2);
  JoinAll();
  ASSERT_TRUE(Report(MakeReport(kFirst, 1, 1, 2)).ok());
  ASSERT_TRUE(Report(MakeReport(kFirst, 2, 1, 2)).ok());
  EXPECT_TRUE(Of<RoundCommittedEvent>(events_).empty());
  ASSERT_TRUE(Report(MakeReport(kFirst, 1, 0, 2)).ok());
  EXPECT_EQ(Of<RoundCommittedEvent>(events_).size(), 1u);
  ASSERT_TRUE(Report(MakeReport(kFirst, 2, 0, 2)).ok());
  const auto rounds = Of<RoundCommittedEvent>(events_);
  ASSERT_EQ(rounds.size(), 2u);
  EXPECT_EQ(rounds[1].record.workers[1].index, 1);
  EXPECT_EQ(coordinator_->ledger().cursor(), 2048);
  EXPECT_EQ(coordinator_->ledger().samples(), 2048);
}

TEST_F(CoordinatorTest, AReportThatIsSentAgainCountsOnce) {
  Make(2);
  JoinAll();
  ReportAll(1);
  ReportAll(1);
  EXPECT_EQ(Of<RoundCommittedEvent>(events_).size(), 1u);
  EXPECT_EQ(coordinator_->ledger().samples(), 1024);
}

TEST_F(CoordinatorTest, EvaluationsAndCheckpointsBecomeEvents) {
  Make(1);
  JoinAll();
  RoundReport report = MakeReport(kFirst, 1, 0, 1);
  report.evaluation_accuracy = 0.9;
  report.target_reached = true;
  report.checkpointed = true;
  ASSERT_TRUE(Report(report).ok());
  ASSERT_EQ(Of<EvaluationEvent>(events_).size(), 1u);
  EXPECT_EQ(*Of<EvaluationEvent>(events_)[0].accuracy, 0.9);
  EXPECT_TRUE(Of<EvaluationEvent>(events_)[0].target_reached);
  EXPECT_EQ(Of<CheckpointEvent>(events_)[0].cursor, 1024);
}

TEST_F(CoordinatorTest, DifferentDigestsEndTheJobAsABugNamingTheRanks) {
  Make(3);
  JoinAll();
  for (int64_t r = 0; r < 3; ++r) {
    RoundReport report = MakeReport(kFirst, 1, r, 3);
    if (r == 2) report.digest = "deadbeefdeadbeef";
    ASSERT_TRUE(Report(report).ok());
  }
  EXPECT_EQ(End().outcome, JobOutcome::kFailed);
  EXPECT_EQ(End().code, ErrorCode::kBug);
  EXPECT_THAT(End().reason, HasSubstr("ranks 2 do not match rank 0"));
}

struct BrokenReport {
  const char* what;
  std::function<void(RoundReport&)> spoil;  // applied to both ranks' reports of round 2
};
class LedgerLaw : public CoordinatorTest, public ::testing::WithParamInterface<BrokenReport> {};

TEST_P(LedgerLaw, IsCheckedInEveryRound) {
  Make(2);
  JoinAll();
  ReportAll(1);
  for (int64_t r = 0; r < 2; ++r) {
    RoundReport report = MakeReport(kFirst, 2, r, 2);
    GetParam().spoil(report);
    ASSERT_TRUE(Report(report).ok());
  }
  EXPECT_EQ(End().outcome, JobOutcome::kFailed) << GetParam().what;
  EXPECT_EQ(End().code, ErrorCode::kBug);
}
INSTANTIATE_TEST_SUITE_P(
    All, LedgerLaw,
    ::testing::Values(
        BrokenReport{"a gap",
                     [](RoundReport& r) {
                       ++r.cursor_begin;
                       ++r.cursor_end;
                     }},
        BrokenReport{"an overlap",
                     [](RoundReport& r) {
                       --r.cursor_begin;
                       --r.cursor_end;
                     }},
        BrokenReport{"a skipped round", [](RoundReport& r) { ++r.round; }},
        BrokenReport{"samples too many", [](RoundReport& r) { ++r.samples; }},
        BrokenReport{"samples unaccounted for", [](RoundReport& r) { --r.local_samples; }},
        BrokenReport{"ranks that disagree", [](RoundReport& r) { r.local_steps += r.rank; }}));

TEST_F(CoordinatorTest, SamplesOfAWorkerWhoseDeltaIsNotFiniteAreDiscarded) {
  Make(2);
  JoinAll();
  for (int64_t r = 0; r < 2; ++r) {
    RoundReport report = MakeReport(kFirst, 1, r, 2);
    report.samples = 512;
    report.delta_finite = r == 0;
    ASSERT_TRUE(Report(report).ok());
  }
  EXPECT_FALSE(coordinator_->end().has_value()) << End().reason;
  EXPECT_EQ(coordinator_->ledger().samples(), 512);
  EXPECT_EQ(coordinator_->ledger().discarded(), 512);
  EXPECT_EQ(coordinator_->ledger().cursor(), 1024);
}

TEST_F(CoordinatorTest, ReportsOfStrangersAndOlderGenerationsAreFenced) {
  Make(1);
  JoinAll();
  EXPECT_EQ(Report(MakeReport({6, 9}, 1, 0, 1)).error().code, ErrorCode::kLostPeer);
  EXPECT_EQ(Report(MakeReport(kFirst, 1, 5, 1)).error().code, ErrorCode::kLostPeer);
}

TEST_F(CoordinatorTest, AWorkerSilentForLongerThanTheLimitIsLost) {
  Make(2);
  JoinAll();
  Pass(seconds(10), {0, 1});
  EXPECT_FALSE(coordinator_->end().has_value());
  Pass(seconds(3), {0});
  EXPECT_EQ(End().outcome, JobOutcome::kFailed);
  EXPECT_EQ(End().code, ErrorCode::kLostPeer);
  EXPECT_THAT(End().reason,
              HasSubstr("worker worker-1 was lost after round 0: no heartbeat for 2.6"));
  EXPECT_EQ(Beat(0).state, MemberState::kEnded);
  EXPECT_EQ(Poll(0, kFirst)->state, MemberState::kEnded);
  EXPECT_TRUE(Poll(0, kFirst)->failed);
}

TEST_F(CoordinatorTest, NobodyIsDeclaredDeadBeforeANewLeadersGraceHasPassed) {
  Make(1);
  JoinAll();
  Pass(milliseconds(4400));
  EXPECT_FALSE(coordinator_->end().has_value());
  Pass(milliseconds(200));
  EXPECT_TRUE(coordinator_->end().has_value());
}

TEST_F(CoordinatorTest, ACoordinatorThatWasHeldUpBlamesNobodyForIt) {
  Make(1);
  JoinAll();
  Pass(seconds(10), {0});
  clock_.Advance(seconds(60));  // suspended, or starved of CPU
  coordinator_->Tick(clock_.Now());
  Pass(seconds(1));
  EXPECT_FALSE(coordinator_->end().has_value());
  Pass(seconds(10), {0});
  EXPECT_FALSE(coordinator_->end().has_value());
}

TEST_F(CoordinatorTest, TheLaunchersWordThatAWorkerDiedCountsAtOnce) {
  Make(2);
  JoinAll();
  coordinator_->WorkerExited("worker", 1, 137, "was killed by signal 9", clock_.Now());
  EXPECT_THAT(End().reason, HasSubstr("worker worker-1 was lost"));
  EXPECT_THAT(End().reason, HasSubstr("signal 9"));
  EXPECT_EQ(End().code, ErrorCode::kLostPeer);
}

TEST_F(CoordinatorTest, ALeaveWithAnErrorEndsTheJobWithThatError) {
  Make(2);
  JoinAll();
  Leave(1, ExitCodeOf(ErrorCode::kData), "train-images: truncated at byte 16");
  EXPECT_EQ(End().code, ErrorCode::kData);
  EXPECT_THAT(End().reason, HasSubstr("truncated"));
}

TEST_F(CoordinatorTest, TheWorkerThatDiedIsNamedEvenIfASurvivorComplainsFirst) {
  Make(2);
  JoinAll();
  Pass(seconds(5), {0, 1});
  Leave(0, ExitCodeOf(ErrorCode::kLostPeer), "connection closed by rank 1");
  EXPECT_FALSE(coordinator_->end().has_value());
  Pass(seconds(3));
  EXPECT_THAT(End().reason, HasSubstr("worker worker-1 was lost"));
}

TEST_F(CoordinatorTest, AComplaintThatNobodysDeathExplainsEndsTheJobAfterAWhile) {
  Make(2);
  JoinAll();
  Leave(0, ExitCodeOf(ErrorCode::kLostPeer), "connection reset");
  Pass(seconds(4), {1});
  EXPECT_EQ(End().outcome, JobOutcome::kFailed);
  EXPECT_THAT(End().reason, HasSubstr("worker worker-0 gave up: connection reset"));
}

TEST_F(CoordinatorTest, AFailureBeforeJoiningEndsTheJob) {
  Make(2);
  ASSERT_TRUE(Join(0).ok());
  coordinator_->WorkerExited("worker", 1, 3, "exited with code 3", clock_.Now());
  EXPECT_EQ(End().code, ErrorCode::kData);
  EXPECT_THAT(End().reason, HasSubstr("worker worker-1 failed before it joined"));
}

TEST_F(CoordinatorTest, TheJobIsCompleteWhenAllHaveLeftWell) {
  Make(2);
  JoinAll();
  ReportAll(1);
  Leave(0, 0, "completed");
  Pass(seconds(5), {1});
  EXPECT_FALSE(coordinator_->end().has_value());
  EXPECT_FALSE(coordinator_->quiet());
  Leave(1, 0, "completed");
  EXPECT_EQ(End().outcome, JobOutcome::kCompleted);
  EXPECT_TRUE(coordinator_->quiet());
  coordinator_->WorkerExited("worker", 1, 0, "exited with code 0", clock_.Now());
  EXPECT_EQ(End().outcome, JobOutcome::kCompleted);
}

TEST_F(CoordinatorTest, AStopReachesMembersByHeartbeatAndReport) {
  Make(1);
  JoinAll();
  EXPECT_FALSE(Beat(0).stop);
  coordinator_->RequestStop("Ctrl-C");
  coordinator_->RequestStop("a later reason");
  EXPECT_TRUE(Beat(0).stop);
  EXPECT_EQ(Beat(0).stop_reason, "Ctrl-C");
  EXPECT_TRUE(Report(MakeReport(kFirst, 1, 0, 1))->stop);
  Leave(0, ExitCodeOf(ErrorCode::kInterrupted), "stopped");
  EXPECT_EQ(End().outcome, JobOutcome::kStopped);
  EXPECT_EQ(End().reason, "Ctrl-C");
}

TEST_F(CoordinatorTest, AStopBeforeTrainingEndsTheJob) {
  Make(2);
  ASSERT_TRUE(Join(0).ok());
  coordinator_->RequestStop("Ctrl-C");
  EXPECT_EQ(End().outcome, JobOutcome::kStopped);
  EXPECT_EQ(Poll(0)->state, MemberState::kEnded);
  EXPECT_FALSE(Poll(0)->failed);
  EXPECT_EQ(Join(1).error().code, ErrorCode::kInterrupted);
}

TEST_F(CoordinatorTest, TheRunPolicysDeadlineStopsTheJob) {
  CoordinatorOptions options;
  options.job = MakeJob(1);
  options.job.spec.run_policy.active_deadline_seconds = 20;
  Make(1, options);
  JoinAll();
  Pass(seconds(19), {0});
  EXPECT_FALSE(Beat(0).stop);
  Pass(seconds(2), {0});
  EXPECT_TRUE(Beat(0).stop);
}

TEST_F(CoordinatorTest, TheStoreHoldsTheKeysOfThePresentGenerationOnly) {
  Make(1);
  EXPECT_EQ(coordinator_->StoreSet({kFirst, "k", {1}}).error().code, ErrorCode::kLostPeer);
  JoinAll();
  EXPECT_EQ(coordinator_->StoreSet({{7, 0}, "k", {1}}).error().code, ErrorCode::kLostPeer);
  ASSERT_TRUE(coordinator_->StoreSet({kFirst, "k", {1}}).ok());
  EXPECT_FALSE(coordinator_->StoreRead({kFirst, 2, 1}, false)->has_value());
  EXPECT_EQ((*coordinator_->StoreRead({kFirst, 2, 1}, true))->entries.size(), 1u);
  ASSERT_TRUE(coordinator_->StoreSet({kFirst, "l", {2}}).ok());
  EXPECT_EQ((*coordinator_->StoreRead({kFirst, 2, 1}, false))->entries.size(), 2u);
}

TEST_F(CoordinatorTest, TheStoreIsBounded) {
  Make(1);
  JoinAll();
  const std::vector<uint8_t> value(size_t{256} << 10);
  Status status;
  int stored = 0;
  while ((status = coordinator_->StoreSet({kFirst, std::to_string(stored), value})).ok()) ++stored;
  EXPECT_EQ(status.error().code, ErrorCode::kResource);
  EXPECT_GT(stored, 100);
  EXPECT_TRUE(coordinator_->StoreSet({kFirst, "0", {}}).ok());  // replacing by less is possible
}

TEST_F(CoordinatorTest, PlanOnlyEndsWithThePlanAndItsPrediction) {
  CoordinatorOptions options;
  options.mode = CoordinatorMode::kPlanOnly;
  Make(2, options);
  JoinAll();
  EXPECT_EQ(End().outcome, JobOutcome::kPlanned);
  const auto plans = Of<PlanIssuedEvent>(events_);
  ASSERT_EQ(plans.size(), 1u);
  EXPECT_THAT(plans[0].prediction->batches, ::testing::ElementsAre(32, 32));
  EXPECT_EQ(Poll(0)->state, MemberState::kEnded);
  EXPECT_FALSE(Poll(0)->failed);
}

TEST_F(CoordinatorTest, ABatchThatCannotBeSplitEndsTheJobAsAUserError) {
  CoordinatorOptions options;
  options.job = MakeJob(2);
  options.job.spec.workers[0].batch = {64, 128};
  options.job.spec.training.batch.initial = 100;
  Make(2, options);
  JoinAll();
  EXPECT_EQ(End().outcome, JobOutcome::kFailed);
  EXPECT_EQ(End().code, ErrorCode::kUser);
}

TEST_F(CoordinatorTest, EventsAreLinesOfJson) {
  Make(1);
  JoinAll();
  ReportAll(1);
  Leave(0, 0, "completed");
  std::string names;
  for (const Event& event : events_) {
    const auto line = nlohmann::json::parse(ToJsonLine(event));
    names += line["event"].get<std::string>() + " ";
  }
  EXPECT_EQ(names, "joined planIssued generationFormed roundCommitted workerLeft ended ");
}

}  // namespace
}  // namespace longstride
