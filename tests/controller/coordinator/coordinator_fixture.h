// A coordinator on a manual clock, and words for what its workers do.
#pragma once

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <vector>

#include "controller/coordinator/coordinator.h"
#include "tests/controller/coordinator/samples.h"

namespace longstride {

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
    for (Duration done{}; done < time; done += std::chrono::milliseconds(100)) {
      clock_.Advance(std::chrono::milliseconds(100));
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
  HeartbeatReply Beat(int64_t index, const std::string& incarnation = "1") {
    return coordinator_->Heartbeat({MakeJoin(index, "worker", incarnation).worker, kFirst, 0},
                                   clock_.Now());
  }
  std::optional<GenerationReply> Poll(int64_t index, GenerationId after = {}, int64_t round = 0,
                                      const std::string& reason = "a peer is gone") {
    return coordinator_->PollGeneration({MakeJoin(index).worker, after, round, reason, 1},
                                        clock_.Now());
  }
  Status Report(const RoundReport& report) {
    Status taken = coordinator_->Report({MakeJoin(report.rank).worker, report}, clock_.Now());
    Collect();
    return taken;
  }
  // A job that a single lost worker ends.
  void MakeWithoutRestarts(int64_t replicas) {
    CoordinatorOptions options;
    options.job = MakeJob(replicas);
    options.job.spec.run_policy.backoff_limit = 0;
    Make(replicas, options);
  }
  void ReportAll(int64_t round) {
    for (int64_t r = 0; r < replicas_; ++r)
      ASSERT_TRUE(Report(MakeReport(kFirst, round, r, replicas_)).ok());
  }
  void Leave(int64_t index, int exit_code, const std::string& reason, bool mid_round = false) {
    ASSERT_TRUE(
        coordinator_
            ->Leave({MakeJoin(index).worker, kFirst, 0, exit_code, reason, mid_round}, clock_.Now())
            .ok());
    Collect();
  }
  void Die(int64_t index) {
    coordinator_->WorkerExited("worker", index, 137, "was killed by signal 9", true, clock_.Now());
    Collect();
  }
  void Rejoin(int64_t index, const std::string& incarnation) {
    ASSERT_TRUE(coordinator_->Join(MakeJoin(index, "worker", incarnation), clock_.Now()).ok());
    Collect();
  }
  // The members of the newest generation, as "0 2".
  std::string Members() const {
    const auto formed = Of<GenerationFormedEvent>(events_);
    std::string names;
    for (const Member& m : formed.back().members) {
      names += (names.empty() ? "" : " ") + std::to_string(m.worker.index);
    }
    return names;
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

}  // namespace longstride
