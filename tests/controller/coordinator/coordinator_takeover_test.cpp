// A coordinator that takes over a job whose workers another one knew (term 6; this one has 7).
#include "tests/controller/coordinator/coordinator_fixture.h"

namespace longstride {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr GenerationId kEarlier{6, 3};

class TakeoverTest : public CoordinatorTest {
 protected:
  void TakeOver(int64_t replicas, Takeover known = {}) {
    CoordinatorOptions options;
    options.job = MakeJob(replicas);
    options.takeover = known;
    Make(replicas, options);
  }
  // What member `index` of `size` says that has trained to `round`.
  static RegisterRequest Member(int64_t index, int64_t size, int64_t round,
                                GenerationId id = kEarlier) {
    RegisterRequest request;
    request.join = MakeJoin(index);
    Generation generation;
    generation.id = id;
    generation.rank = index;
    Plan plan{4, 10, {}, 0.5};
    for (int64_t i = 0; i < size; ++i) {
      generation.members.push_back({MakeJoin(i).worker, MakeJoin(i).address});
      plan.shares.push_back({0.001, 0.0005, 256, 1, 512});
    }
    generation.plans = {plan};
    request.generation = generation;
    request.round = request.settled = round;
    return request;
  }
  Status Register(const RegisterRequest& request) {
    Status status = coordinator_->Register(request, clock_.Now());
    Collect();
    return status;
  }
  HeartbeatReply BeatOf(int64_t index) {
    return coordinator_->Heartbeat({MakeJoin(index).worker, kEarlier, 0}, clock_.Now());
  }
};

TEST_F(TakeoverTest, TellsWorkersThatItDoesNotKnowThemAndChangesNothing) {
  TakeOver(2);
  EXPECT_EQ(BeatOf(0).state, MemberState::kUnknown);
  EXPECT_EQ(Poll(0, kEarlier)->state, MemberState::kUnknown);
  EXPECT_EQ(Report(MakeReport(kEarlier, 5, 0, 2)).error().code, ErrorCode::kTransient);
  EXPECT_EQ(
      coordinator_->Leave({MakeJoin(0).worker, kEarlier, 5, 0, ""}, clock_.Now()).error().code,
      ErrorCode::kTransient);
  EXPECT_TRUE(events_.empty());
}

TEST_F(TakeoverTest, AdoptsTheGenerationAndItsPlansAndCountsOn) {
  TakeOver(2);
  ASSERT_TRUE(Register(Member(0, 2, 5)).ok());
  EXPECT_EQ(BeatOf(0).state, MemberState::kTraining);
  EXPECT_EQ(BeatOf(1).state, MemberState::kUnknown) << "others name it, but it has to speak itself";
  ASSERT_TRUE(Register(Member(1, 2, 5)).ok());
  ASSERT_TRUE(Report(MakeReport(kEarlier, 6, 0, 2)).ok());
  ASSERT_TRUE(Report(MakeReport(kEarlier, 6, 1, 2)).ok());
  const auto rounds = Of<RoundCommittedEvent>(events_);
  ASSERT_EQ(rounds.size(), 1u);
  EXPECT_EQ(rounds[0].record.common().round, 6);
  EXPECT_EQ(coordinator_->ledger().samples(), 6 * 1024);
  EXPECT_EQ(coordinator_->plans().back().version, 4);
  EXPECT_TRUE(Of<GenerationFormedEvent>(events_).empty());
  EXPECT_TRUE(Of<WorkerLostEvent>(events_).empty());
}

TEST_F(TakeoverTest, TakesTheReportsThatTheOneBeforeDidNotCommit) {
  TakeOver(2);
  RegisterRequest knows_more = Member(0, 2, 7), knows_less = Member(1, 2, 7);
  knows_more.settled = 5;
  knows_more.reports = {MakeReport(kEarlier, 6, 0, 2), MakeReport(kEarlier, 7, 0, 2)};
  knows_less.settled = 4;
  for (int64_t round = 5; round <= 7; ++round)
    knows_less.reports.push_back(MakeReport(kEarlier, round, 1, 2));
  ASSERT_TRUE(Register(knows_less).ok());
  ASSERT_TRUE(Register(knows_more).ok());
  ASSERT_TRUE(Register(knows_more).ok()) << "the answer may get lost";
  const auto rounds = Of<RoundCommittedEvent>(events_);
  ASSERT_EQ(rounds.size(), 2u);  // one member knows that round 5 is committed
  EXPECT_EQ(rounds[0].record.common().round, 6);
  EXPECT_EQ(coordinator_->ledger().round(), 7);
  const auto reply = coordinator_->ReplyTo(MakeReport(kEarlier, 7, 0, 2), false);
  EXPECT_EQ(reply->committed, 7);
}

TEST_F(TakeoverTest, DoesNotCommitAgainWhatIsOnRecord) {
  TakeOver(1, {.round = 6, .generation = kEarlier, .samples = 6 * 1024});
  RegisterRequest request = Member(0, 1, 7);
  request.settled = 5;
  request.reports = {MakeReport(kEarlier, 6, 0, 1), MakeReport(kEarlier, 7, 0, 1)};
  EXPECT_EQ(coordinator_->ledger().samples(), 6 * 1024);
  ASSERT_TRUE(Register(request).ok());
  ASSERT_EQ(Of<RoundCommittedEvent>(events_).size(), 1u);
  EXPECT_EQ(coordinator_->ledger().samples(), 7 * 1024);
}

TEST_F(TakeoverTest, HearsOfTheNewestCheckpointAndFallsBackToNoneThatIsOlderThanTheRecords) {
  TakeOver(2, {.round = 6, .generation = kEarlier, .checkpoint = 4});
  RegisterRequest older = Member(0, 2, 7), newer = Member(1, 2, 7);
  older.checkpoint = CommittedCheckpoint{2, 2048, 400};
  newer.checkpoint = CommittedCheckpoint{6, 6144, 500};
  ASSERT_TRUE(Register(older).ok());
  EXPECT_TRUE(Of<CheckpointEvent>(events_).empty());
  ASSERT_TRUE(Register(newer).ok());
  ASSERT_EQ(Of<CheckpointEvent>(events_).size(), 1u);
  EXPECT_EQ(Of<CheckpointEvent>(events_)[0].checkpoint.round, 6);
}

TEST_F(TakeoverTest, WhatIsOnRecordOfAStateThatWasLostSinceDoesNotCount) {
  TakeOver(1, {.round = 6, .generation = {6, 2}});
  RegisterRequest request = Member(0, 1, 7);
  request.settled = 4;  // everybody was lost, and the next began from a checkpoint
  for (int64_t round = 5; round <= 7; ++round)
    request.reports.push_back(MakeReport(kEarlier, round, 0, 1));
  ASSERT_TRUE(Register(request).ok());
  EXPECT_EQ(Of<RoundCommittedEvent>(events_).size(), 3u);
}

TEST_F(TakeoverTest, DeclaresNobodyDeadBeforeClientsCanHaveComeBack) {
  TakeOver(2);
  ASSERT_TRUE(Register(Member(0, 2, 5)).ok());
  for (int i = 0; i < 43; ++i) {
    clock_.Advance(std::chrono::milliseconds(100));
    BeatOf(0);
    coordinator_->Tick(clock_.Now());
  }
  Collect();
  EXPECT_TRUE(Of<WorkerLostEvent>(events_).empty());
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(std::chrono::milliseconds(100));
    BeatOf(0);
    coordinator_->Tick(clock_.Now());
  }
  Collect();
  ASSERT_EQ(Of<WorkerLostEvent>(events_).size(), 1u);
  EXPECT_EQ(Of<WorkerLostEvent>(events_)[0].worker.index, 1);
  EXPECT_EQ(BeatOf(0).state, MemberState::kReform);
}

TEST_F(TakeoverTest, ItsOwnGenerationsComeAfterThoseBefore) {
  TakeOver(2);
  RegisterRequest left0 = Member(0, 2, 5), left1 = Member(1, 2, 5);
  left0.left = left1.left = true;
  ASSERT_TRUE(Register(left0).ok());
  EXPECT_FALSE(Poll(0, kEarlier, 5).has_value());
  ASSERT_TRUE(Register(left1).ok());
  const auto reply = Poll(0, kEarlier, 5);
  ASSERT_TRUE(reply && reply->generation);
  EXPECT_EQ(reply->generation->id, (GenerationId{7, 1}));
  EXPECT_GT(reply->generation->plans.back().version, 4);
}

TEST_F(TakeoverTest, TheNewestGenerationIsTheOneThatCounts) {
  TakeOver(2);
  ASSERT_TRUE(Register(Member(1, 2, 4, {6, 2})).ok());  // given up for lost before (6, 3)
  RegisterRequest alone = Member(0, 1, 9);
  ASSERT_TRUE(Register(alone).ok());
  EXPECT_EQ(BeatOf(0).state, MemberState::kTraining);
  EXPECT_EQ(BeatOf(1).state, MemberState::kFenced);
  EXPECT_EQ(Register(Member(1, 2, 4, {6, 2})).error().code, ErrorCode::kLostPeer);
}

TEST_F(TakeoverTest, OneThatWasGivenUpLongAgoDecidesNothingByComingFirst) {
  TakeOver(2);
  RegisterRequest ghost = Member(0, 1, 3, {6, 1});
  ghost.settled = 1;
  ghost.reports = {MakeReport({6, 1}, 2, 0, 1), MakeReport({6, 1}, 3, 0, 1)};
  ASSERT_TRUE(Register(ghost).ok());
  EXPECT_TRUE(Of<RoundCommittedEvent>(events_).empty());
  RegisterRequest other = Member(1, 2, 9);
  other.generation->members[0].worker.incarnation = "2";
  ASSERT_TRUE(Register(other).ok());
  EXPECT_EQ(BeatOf(0).state, MemberState::kFenced);
  EXPECT_EQ(coordinator_->ledger().round(), 9);
}

TEST_F(TakeoverTest, AMemberThatNeverHeardOfTheNewestGenerationBreaksIt) {
  TakeOver(2);
  RegisterRequest asking = Member(1, 2, 4, {6, 2});
  asking.left = true;
  ASSERT_TRUE(Register(asking).ok());
  ASSERT_TRUE(Register(Member(0, 2, 4)).ok());
  EXPECT_EQ(BeatOf(0).state, MemberState::kReform);
}

TEST_F(TakeoverTest, ANewcomerThatNeverHeardOfItsFirstGenerationBreaksIt) {
  for (const bool comes_first : {false, true}) {
    TakeOver(2);
    RegisterRequest newcomer;
    newcomer.join = MakeJoin(1);
    const RegisterRequest member = Member(0, 2, 5);
    for (const RegisterRequest* next :
         {comes_first ? &newcomer : &member, comes_first ? &member : &newcomer})
      ASSERT_TRUE(Register(*next).ok());
    EXPECT_EQ(BeatOf(0).state, MemberState::kReform);
    EXPECT_EQ(BeatOf(1).state, MemberState::kWaiting);
  }
}

TEST_F(TakeoverTest, ANewcomerWaitsForTheNextBoundary) {
  TakeOver(2);
  RegisterRequest newcomer;
  newcomer.join = MakeJoin(1);
  ASSERT_TRUE(Register(newcomer).ok());
  ASSERT_TRUE(Register(Member(0, 1, 5)).ok());
  EXPECT_EQ(BeatOf(0).state, MemberState::kTraining);
  EXPECT_TRUE(BeatOf(0).reform);
}

TEST_F(TakeoverTest, RefusesToGoBehindALaterCoordinator) {
  TakeOver(1);
  EXPECT_EQ(Register(Member(0, 1, 5, {8, 1})).error().code, ErrorCode::kTransient);
  EXPECT_EQ(Register(Member(0, 1, 5, {7, 1})).error().code, ErrorCode::kTransient)
      << "terms never repeat";
}

TEST_F(TakeoverTest, TheStoreOfAnAdoptedGenerationIsGone) {
  TakeOver(1);
  ASSERT_TRUE(Register(Member(0, 1, 5)).ok());
  EXPECT_EQ(coordinator_->StoreSet({kEarlier, "rank/0", {1}}).error().code, ErrorCode::kLostPeer);
}

TEST_F(TakeoverTest, AStopWaitsForTheMembersToRegister) {
  TakeOver(1);
  coordinator_->RequestStop("suspended");
  EXPECT_FALSE(coordinator_->end().has_value());
  ASSERT_TRUE(Register(Member(0, 1, 5)).ok());
  EXPECT_TRUE(BeatOf(0).stop);
}

TEST_F(TakeoverTest, AStopEndsAJobThatNobodyIsLeftOf) {
  TakeOver(1);
  coordinator_->RequestStop("suspended");
  Pass(seconds(6));
  EXPECT_EQ(End().outcome, JobOutcome::kStopped);
}

TEST_F(TakeoverTest, WorkersThatCompletedMeanwhileCompleteTheJob) {
  TakeOver(2);
  coordinator_->WorkerExited("worker", 0, 0, "exited with code 0", true, clock_.Now());
  EXPECT_FALSE(coordinator_->end().has_value()) << "the other may have reports to give";
  coordinator_->WorkerExited("worker", 1, 0, "exited with code 0", true, clock_.Now());
  Pass(seconds(6));
  EXPECT_EQ(End().outcome, JobOutcome::kCompleted);
}

TEST_F(TakeoverTest, LostWorkersOfBeforeCountTowardsTheLimit) {
  CoordinatorOptions options;
  options.job = MakeJob(2);
  options.job.spec.run_policy.backoff_limit = 3;
  options.takeover = Takeover{.lost_workers = 3};
  Make(2, options);
  ASSERT_TRUE(Register(Member(0, 2, 5)).ok());
  coordinator_->WorkerExited("worker", 1, 137, "was killed by signal 9", true, clock_.Now());
  EXPECT_EQ(End().outcome, JobOutcome::kFailed);
  EXPECT_THAT(End().reason, HasSubstr("backoffLimit"));
}

}  // namespace
}  // namespace longstride
