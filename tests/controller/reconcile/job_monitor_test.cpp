// What a job's view shows of what its coordinator told.
#include "controller/reconcile/job_monitor.h"

#include <gmock/gmock.h>

namespace longstride {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::SizeIs;

JoinRequest Join(int64_t index, const std::string& pod = "") {
  JoinRequest join;
  join.worker = {"worker", index, pod.empty() ? "pod-" + std::to_string(index) : pod};
  join.profile.alpha = 0.01 * static_cast<double>(index + 1);
  join.profile.beta = 0.001;
  join.profile.micro_batch_cap = 64 / (index + 1);
  join.train_samples = 1000;
  join.parameters = 10;
  return join;
}
GenerationFormedEvent Formed(int64_t counter, std::vector<int64_t> indices) {
  GenerationFormedEvent formed;
  formed.id = {1, counter};
  for (const int64_t index : indices) formed.members.push_back({Join(index).worker, ""});
  return formed;
}
RoundRecord Round(int64_t round, int64_t members) {
  RoundRecord record;
  for (int64_t i = 0; i < members; ++i) {
    record.workers.push_back(Join(i).worker);
    RoundReport& report = record.reports.emplace_back();
    report.round = round;
    report.cursor_end = round * 100;
    report.local_steps = 16;
    report.global_batch = 32;
    report.local_batch = i == 0 ? 24 : 8;
    report.local_samples = 16 * report.local_batch;
    report.learning_rate = 0.1;
    report.wall_seconds = 2;
    report.seconds.communication = 0.5;
    report.seconds.compute = 1.5;
    report.bytes_sent = {10, 90};
  }
  return record;
}

class JobMonitorTest : public ::testing::Test {
 protected:
  bool Note(auto event) { return monitor_.Note({1000, std::move(event)}); }
  void Train(int64_t members) {
    std::vector<int64_t> indices;
    for (int64_t i = 0; i < members; ++i) {
      Note(JoinedEvent{Join(i)});
      indices.push_back(i);
    }
    PlanIssuedEvent plan;
    plan.prediction.emplace().batches = std::vector<int64_t>(static_cast<size_t>(members), 16);
    Note(plan);
    Note(Formed(1, indices));
  }
  [[nodiscard]] MemberView::State StateOf(int64_t index) const {
    return monitor_.View().Find({"worker", index})->state;
  }

  static JobStatus Known() {
    JobStatus known;
    known.progress.round = 3;
    known.progress.bytes_sent = 5000;
    known.progress.accuracy = 0.5;
    return known;
  }
  JobMonitor monitor_{Known(), DataPlacement::kShared};
};

TEST_F(JobMonitorTest, MembersAreWhoIsInTheGeneration) {
  EXPECT_TRUE(Note(JoinedEvent{Join(0)}));
  EXPECT_EQ(monitor_.View().training(), 0);
  EXPECT_EQ(monitor_.View().present(), 1);
  Train(2);
  EXPECT_EQ(monitor_.View().training(), 2);
  Note(JoinedEvent{Join(2)});
  EXPECT_EQ(StateOf(2), MemberView::State::kJoined);
  Note(Formed(2, {0, 2}));
  EXPECT_EQ(StateOf(1), MemberView::State::kJoined);
  EXPECT_EQ(monitor_.View().generation, 2);
}

TEST_F(JobMonitorTest, WhoWaitsForOthersDoesNotTrain) {
  Train(3);
  Note(WorkerLostEvent{Join(0).worker, "no heartbeat"});
  EXPECT_TRUE(Note(WaitingEvent{2, 3}));
  EXPECT_EQ(monitor_.View().training(), 0);
  EXPECT_EQ(monitor_.View().present(), 2);
  EXPECT_EQ(StateOf(0), MemberView::State::kLost);
  Note(JoinedEvent{Join(0, "next")});
  GenerationFormedEvent formed = Formed(2, {1, 2});
  formed.members.push_back({Join(0, "next").worker, ""});
  Note(formed);
  EXPECT_EQ(monitor_.View().training(), 3);
}

TEST_F(JobMonitorTest, WhoLeftOrWasLostIsNoMember) {
  Train(2);
  Note(WorkerLostEvent{Join(0).worker, "no heartbeat"});
  Note(WorkerLeftEvent{Join(1).worker, 7, "stopped"});
  EXPECT_EQ(StateOf(0), MemberView::State::kLost);
  EXPECT_EQ(monitor_.View().Find({"worker", 0})->reason, "no heartbeat");
  EXPECT_EQ(StateOf(1), MemberView::State::kLeft);
}

TEST_F(JobMonitorTest, WhatIsSaidOfAnEarlierPodDoesNotTouchTheNext) {
  Train(1);
  Note(JoinedEvent{Join(0, "next")});
  Note(WorkerLostEvent{Join(0).worker, "it was started anew"});
  EXPECT_EQ(StateOf(0), MemberView::State::kJoined);
  EXPECT_EQ(monitor_.View().Find({"worker", 0})->pod_uid, "next");
}

TEST_F(JobMonitorTest, RoundsAddUpToProgress) {
  Train(2);
  EXPECT_FALSE(monitor_.View().progress) << "nothing is known yet";
  EXPECT_FALSE(Note(RoundCommittedEvent{Round(4, 2)})) << "progress alone";
  Note(RoundCommittedEvent{Round(5, 2)});
  const TrainingProgress progress = *monitor_.View().progress;
  EXPECT_EQ(progress.round, 5);
  EXPECT_EQ(progress.samples, 500);
  EXPECT_THAT(progress.epoch, DoubleEq(0.5));
  EXPECT_EQ(progress.bytes_sent, 5400) << "with those of the coordinator before";
  EXPECT_THAT(progress.communication_percent, DoubleEq(25));
  EXPECT_EQ(progress.accuracy, 0.5);
}

TEST_F(JobMonitorTest, AnEpochOfLocalDataIsAllShardsTogether) {
  JobMonitor monitor(Known(), DataPlacement::kLocal);
  const auto join = [&](int64_t index, int64_t shard, const std::string& pod = "") {
    JoinRequest own = Join(index, pod);
    own.train_samples = shard;
    monitor.Note({1000, JoinedEvent{own}});
  };
  join(0, 700);
  join(1, 200);
  join(2, 100);
  join(1, 200, "next");
  monitor.Note({1000, RoundCommittedEvent{Round(5, 3)}});
  EXPECT_THAT(monitor.View().progress->epoch, DoubleEq(0.5)) << "500 of 1,000 samples";
}

TEST_F(JobMonitorTest, SamplesThatDoNotCountAreLeftOut) {
  Train(1);
  RoundRecord record = Round(4, 1);
  record.reports[0].holes = {{390, 400}};
  record.reports[0].discarded = {{300, 320}};
  Note(RoundCommittedEvent{record});
  EXPECT_EQ(monitor_.View().progress->samples, 370);
}

TEST_F(JobMonitorTest, RoundsAddUpToFiguresForEachWorkerPurposeAndActivity) {
  Train(2);
  EXPECT_FALSE(monitor_.figures().learning_rate) << "nothing is known yet";
  Note(RoundCommittedEvent{Round(4, 2)});
  RoundRecord record = Round(5, 2);
  record.reports[1].delta_finite = false;
  Note(RoundCommittedEvent{record});
  const JobFigures& figures = monitor_.figures();
  EXPECT_EQ(figures.generation, 1);
  EXPECT_EQ(figures.learning_rate, 0.1);
  EXPECT_FALSE(figures.noise_scale) << "not measured";
  EXPECT_FALSE(figures.evaluation_loss) << "not evaluated";
  EXPECT_THAT(figures.totals.sent_bytes, ElementsAre(40, 360, 0, 0, 0, 0));
  EXPECT_THAT(figures.totals.seconds.communication, DoubleEq(2));
  EXPECT_EQ(figures.workers.at({"worker", 0}).samples, 2 * 16 * 24);
  EXPECT_EQ(figures.workers.at({"worker", 1}).samples, 16 * 8)
      << "what was discarded does not count";
  EXPECT_EQ(figures.workers.at({"worker", 1}).sent_bytes, 200);
  // Two rounds of 16 steps: 2 (2 - 1) times 4 bytes for each of 10 parameters.
  EXPECT_EQ(figures.totals.data_parallel_bytes, 2 * 16 * 2 * 4 * 10);
}

// Another leader had seen rounds up to 5, of workers that sent 10 and 90 bytes in each; its status
// says so of all but the last.
class TakenOverMonitorTest : public ::testing::Test {
 protected:
  static JobStatus Known() {
    JobStatus known;
    known.progress.round = 4;
    known.progress.bytes_sent = 800;
    known.progress.totals = {{80, 720}, 5000, {.compute = 12, .communication = 4}};
    return known;
  }
  bool Note(auto event) { return monitor_.Note({1000, std::move(event)}); }
  void ComeBack(int64_t index, int64_t round) {
    WorkerTotals totals;
    totals.rounds = round;
    totals.samples = 100 * round;
    totals.seconds = {.compute = 1.5 * static_cast<double>(round),
                      .communication = 0.5 * static_cast<double>(round)};
    totals.bytes_sent = {10 * round, 90 * round};
    Note(RegisteredEvent{Join(index), kGeneration, round, totals});
  }
  void Commit(int64_t round, int64_t members) {
    RoundRecord record = Round(round, members);
    for (RoundReport& report : record.reports) report.generation = kGeneration;
    Note(RoundCommittedEvent{record});
  }
  [[nodiscard]] const JobTotals& totals() const { return monitor_.figures().totals; }

  static constexpr GenerationId kGeneration{7, 2};
  JobMonitor monitor_{Known(), DataPlacement::kShared};
};

TEST_F(TakenOverMonitorTest, TotalsGoOnFromWhatTheWorkersSayWhereTheStatusLagsBehind) {
  EXPECT_EQ(totals(), Known().progress.totals) << "nobody has come back yet";
  ComeBack(0, 5);
  EXPECT_EQ(totals(), Known().progress.totals) << "never less than the status says";
  ComeBack(1, 5);
  EXPECT_THAT(totals().sent_bytes, ElementsAre(100, 900, 0, 0, 0, 0));
  EXPECT_THAT(totals().seconds.compute, DoubleEq(15));
  Commit(6, 2);
  EXPECT_THAT(totals().sent_bytes, ElementsAre(120, 1080, 0, 0, 0, 0));
  EXPECT_EQ(totals().data_parallel_bytes, 5000 + 16 * 2 * 4 * 10);
  const TrainingProgress progress = *monitor_.View().progress;
  EXPECT_EQ(progress.bytes_sent, 1200);
  EXPECT_THAT(progress.communication_percent, DoubleEq(25));
  EXPECT_EQ(progress.totals, totals()) << "for the leader after this one";
}

TEST_F(TakenOverMonitorTest, RoundsThatAWorkerHasInItsAccountAreNotCountedAgain) {
  ComeBack(0, 5);
  ComeBack(1, 6);  // the last round of which the other has still to report
  Commit(5, 2);
  Commit(6, 2);
  EXPECT_THAT(totals().sent_bytes, ElementsAre(120, 1080, 0, 0, 0, 0));
  EXPECT_EQ(monitor_.figures().workers.at({"worker", 0}).samples, 500 + 16 * 24);
  EXPECT_EQ(monitor_.figures().workers.at({"worker", 1}).samples, 600);
  EXPECT_EQ(monitor_.figures().workers.at({"worker", 1}).sent_bytes, 600);
}

TEST_F(TakenOverMonitorTest, WhatADeadWorkerDidStaysAsTheStatusHasIt) {
  ComeBack(0, 5);
  Commit(6, 1);
  EXPECT_THAT(totals().sent_bytes, ElementsAre(90, 810, 0, 0, 0, 0));
  EXPECT_EQ(monitor_.View().progress->bytes_sent, 900);
}

TEST_F(TakenOverMonitorTest, WhoTakesADeadWorkersPlaceStartsAnAccountOfItsOwn) {
  ComeBack(0, 5);
  Note(WorkerLostEvent{Join(0).worker, "no heartbeat"});
  Note(JoinedEvent{Join(0, "next")});
  RoundRecord record = Round(5, 1);
  record.workers[0] = Join(0, "next").worker;
  record.reports[0].generation = kGeneration;
  Note(RoundCommittedEvent{record});
  EXPECT_THAT(totals().sent_bytes, ElementsAre(90, 810, 0, 0, 0, 0));
}

TEST_F(TakenOverMonitorTest, SamplesThatWereDiscardedBeforeDoNotCount) {
  RoundRecord record = Round(6, 1);
  record.reports[0].total_samples = 580;
  Note(RoundCommittedEvent{record});
  EXPECT_EQ(monitor_.View().progress->samples, 580);
  // A worker of an earlier release does not say it.
  WorkerTotals totals;
  totals.discarded = 30;
  Note(RegisteredEvent{Join(1), kGeneration, 6, totals});
  Commit(7, 1);
  EXPECT_EQ(monitor_.View().progress->samples, 670);
}

TEST_F(JobMonitorTest, TheLastEvaluationAndMeasurementStayKnown) {
  Train(1);
  RoundRecord measured = Round(4, 1);
  measured.reports[0].noise_scale = 300;
  measured.reports[0].norm_test_ratio = 1.5;
  Note(RoundCommittedEvent{measured});
  Note(EvaluationEvent{.round = 4, .cursor = 400, .loss = 0.6, .accuracy = 0.8});
  Note(RoundCommittedEvent{Round(5, 1)});
  EXPECT_EQ(monitor_.figures().noise_scale, 300);
  EXPECT_EQ(monitor_.figures().norm_test_ratio, 1.5);
  EXPECT_EQ(monitor_.figures().evaluation_loss, 0.6);
}

TEST_F(JobMonitorTest, GroupsAreSummedUp) {
  Train(2);
  ASSERT_THAT(monitor_.View().profiles, SizeIs(1));
  const GroupProfile profile = monitor_.View().profiles[0];
  EXPECT_THAT(profile.alpha, DoubleEq(0.015));
  EXPECT_EQ(profile.micro_batch_cap, 32);
  EXPECT_THAT(profile.share, DoubleEq(1));
}

TEST_F(JobMonitorTest, WorkersThatComeBackBringTheirGenerationAndRound) {
  Note(RegisteredEvent{Join(0), {7, 2}, 9, {}});
  EXPECT_EQ(StateOf(0), MemberView::State::kMember);
  EXPECT_EQ(monitor_.View().progress->round, 9);
  EXPECT_EQ(monitor_.View().generation, 2);
  Note(RegisteredEvent{Join(1), {7, 3}, 9, {}});
  EXPECT_EQ(StateOf(0), MemberView::State::kJoined) << "its generation was not the newest";
  EXPECT_EQ(StateOf(1), MemberView::State::kMember);
  Note(RegisteredEvent{Join(2), {}, 0, {}});
  EXPECT_EQ(StateOf(2), MemberView::State::kJoined);
  EXPECT_EQ(monitor_.View().progress->bytes_sent, 5000);
}

TEST_F(JobMonitorTest, TheFirstCheckpointIsNewsAndTheNextIsNot) {
  Train(1);
  Note(RoundCommittedEvent{Round(4, 1)});
  EXPECT_TRUE(Note(CheckpointEvent{{2, 200, 998}}));
  EXPECT_FALSE(Note(CheckpointEvent{{4, 400, 999}}));
  EXPECT_EQ(monitor_.View().checkpoint->round, 4);
  EXPECT_EQ(monitor_.View().checkpoint->samples, 400);
  EXPECT_EQ(monitor_.View().checkpoint->time, 999) << "when it was complete, not when it was told";
}

TEST_F(JobMonitorTest, TheEndIsToldWithItsTime) {
  EXPECT_TRUE(Note(EndedEvent{{JobOutcome::kCompleted, ErrorCode::kInterrupted, "done"}}));
  EXPECT_EQ(monitor_.View().end->reason, "done");
  EXPECT_EQ(monitor_.View().ended_at, 1000);
}

}  // namespace
}  // namespace longstride
