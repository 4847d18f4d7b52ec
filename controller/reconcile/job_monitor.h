// What a job's coordinator has told, as decisions and the status need it: events in, a
// CoordinatorView and JobFigures out. Pure; not thread-safe.
//
// Totals go on across hostings. Each is the greater of what the status says and of what all workers
// that come back have done by their own account, and on top of it the rounds that are committed
// from then on and are not in these accounts. So none ever falls below the status written last;
// what workers that are gone did after it is not known to anybody.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "controller/coordinator/epoch_size.h"
#include "controller/coordinator/events.h"
#include "controller/reconcile/job_figures.h"
#include "controller/reconcile/observed.h"

namespace longstride {

class JobMonitor {
 public:
  // `known`: the job's status when its hosting began, for totals that go on.
  JobMonitor(const JobStatus& known, DataPlacement placement)
      : known_(known.progress), epoch_(placement) {
    Tally();
  }

  // True if a decision may come out differently, or the status should say so at once; rounds are
  // mere progress.
  bool Note(const Event& event);

  // All but what the coordinator itself knows: `wanted`, `completing`, `settling` and what became
  // of its workers' memory.
  [[nodiscard]] CoordinatorView View() const;
  [[nodiscard]] const JobFigures& figures() const { return figures_; }

 private:
  struct Known {
    JoinRequest join;
    // That it came back with: rounds up to this one are in its own account.
    GenerationId generation{};
    int64_t round = 0;
    MemberView::State state = MemberView::State::kJoined;
    std::string reason{};
    ErrorCode code = ErrorCode::kLostPeer;  // as of MemberView
  };

  void Join(const JoinRequest& join);
  void Register(const RegisteredEvent& registered);
  void Form(const GenerationFormedEvent& formed);
  void Detach();  // no generation trains any more
  void Commit(const RoundRecord& record);
  void Count(const RoundRecord& record);
  [[nodiscard]] bool IsAccounted(const WorkerId& worker, const RoundReport& own) const;
  void Tally();
  void End(const WorkerId& worker, MemberView::State state, const std::string& reason,
           ErrorCode code);
  [[nodiscard]] std::vector<GroupProfile> Profiles() const;

  const TrainingProgress known_;
  std::map<WorkerPlace, Known> workers_;
  std::map<std::string, double> batches_;  // of each group's workers together, last round or plan
  std::vector<int64_t> planned_batches_;   // by rank
  bool planned_ = false;
  GenerationId adopted_;  // newest that workers came back with
  EpochSize epoch_;
  int64_t train_samples_ = 0;  // of an epoch
  int64_t parameters_ = 0;
  int64_t discarded_ = 0;  // for workers that do not say total_samples
  JobTotals accounts_;     // of the workers that came back
  JobTotals counted_;      // of rounds that are not in them
  CoordinatorView view_;
  JobFigures figures_;
};

}  // namespace longstride
