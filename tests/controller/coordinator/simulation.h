// A coordinator and N workers' protocol in one thread, on a simulated clock and network, from one
// seed. Workers are what the runtime is to the coordinator: incarnations that join, train rounds in
// lockstep with real ledgers, lose each other, keep what they had done, and ask for the next
// generation. Faults happen until `fault_steps` have passed; then the job must complete.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controller/coordinator/coordinator.h"
#include "core/base/random.h"
#include "core/schedule/ledger.h"

namespace longstride {

struct SimulationOptions {
  uint64_t seed = 1;
  int fault_steps = 0;  // 0: nothing ever fails
  // Nothing fails but the coordinator, and that only while every worker trains.
  bool only_the_coordinator = false;
};

class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options);
  ~Simulation();

  // Runs to the end of the job. "" if every invariant held, else what broke:
  //   - committed rounds follow each other (but for a restart of all from a checkpoint), each of
  //   one
  //     generation with distinct ranks;
  //   - the ledger law over the rounds as the coordinator tells them;
  //   - a committed round is taken back only when nobody who holds it was heard of lately;
  //   - the coordinator never ends the job as failed;
  //   - once faults have ceased the job completes, with every sample counted once.
  [[nodiscard]] std::string Run();

  struct Counts {
    int lost = 0;
    int frozen = 0;
    int cut_off = 0;
    int peers_cut = 0;
    int left = 0;  // in the middle of a round
    int joined = 0;
    int generations = 0;
    int completed_rounds = 0;  // pending ones, by the next generation
    int scaled = 0;
    int restarts = 0;  // of all workers, from a checkpoint
    int crashes = 0;   // of the coordinator
    int registered = 0;
  };
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  // What a worker holds, and what a checkpoint keeps.
  struct State {
    int64_t round = 0;
    GenerationId generation;  // that committed the round
    Ledger ledger;
    uint64_t digest = 1;
  };
  // Local steps that are done and not exchanged.
  struct Pending {
    int64_t round = 0;
    uint64_t anchor = 0;
    std::vector<PositionRange> positions;  // by part
    GenerationId begun;
    int part = 0;
  };
  enum class Where { kStarting, kWaiting, kAligning, kTraining, kLeaving, kGone };
  struct Worker {
    JoinRequest join;
    Where where = Where::kStarting;
    bool alive = true;
    int frozen_for = 0;   // steps
    int cut_off_for = 0;  // steps without the coordinator
    State state;
    std::optional<Generation> generation;
    std::optional<Pending> pending;
    bool arrived = false;  // at the collective call
    bool aborted = false;
    bool reform = false;             // asked by the coordinator
    bool left = false;               // the generation
    std::deque<RoundReport> outbox;  // reports that are not known to be committed
    size_t sent = 0;                 // how many of them were taken
    int64_t settled = 0;
    TimePoint last_contact;  // with any coordinator
    [[nodiscard]] bool running() const { return alive && frozen_for == 0; }
    [[nodiscard]] bool unsent() const { return sent < outbox.size(); }
  };
  // How the state with a digest came about.
  struct Origin {
    std::string parent;
    Ledger before;
  };

  [[nodiscard]] static std::string Hex(uint64_t digest);
  void Step();
  void Launch();
  void Act(Worker& worker);
  void Faults();
  void Crash();
  void StartCoordinator();
  [[nodiscard]] bool CanReachCoordinator(const Worker& worker) const {
    return coordinator_ && worker.running() && worker.cut_off_for == 0;
  }
  void Ask(Worker& worker);
  void Fail(Worker& worker);
  void Collective(const GenerationId& id);
  void Align(std::vector<Worker*>& members);
  void Exchange(std::vector<Worker*>& members, bool completing);
  void SendReport(Worker& worker);
  void Register(Worker& worker);
  // Whether a state was trained on from another, or is it.
  [[nodiscard]] bool Descends(std::string digest, const std::string& from) const;
  void CheckCommitted(const RoundRecord& record);
  void Beat(Worker& worker);
  [[nodiscard]] bool Cut(const WorkerId& a, const WorkerId& b) const;
  void Replace(const WorkerId& id);
  void Check();
  void Break(const std::string& what);
  [[nodiscard]] bool Chance(uint64_t in) { return random_.NextBelow(in) == 0; }
  [[nodiscard]] bool faulty() const { return step_ < options_.fault_steps; }
  [[nodiscard]] bool fragile() const { return faulty() && !options_.only_the_coordinator; }

  const SimulationOptions options_;
  SeededRandom random_;
  ManualClock clock_;
  CoordinatorOptions coordinator_options_;
  std::unique_ptr<Coordinator> coordinator_;                 // null while it is dead
  int dead_for_ = 0;                                         // steps
  std::map<WorkerPlace, std::unique_ptr<Worker>> workers_;   // the process at each place
  std::map<std::pair<WorkerPlace, WorkerPlace>, int> cuts_;  // between peers, for so many steps
  std::vector<std::unique_ptr<Worker>> ghosts_;              // given up for lost, and alive
  std::map<WorkerPlace, int> incarnations_;
  State checkpoint_;
  std::set<std::string> checkpoints_;  // their digests
  int64_t samples_ = 0;                // of the whole job
  int64_t batch_ = 0;                  // samples of a round, a member
  int step_ = 0;
  std::map<std::string, Origin> origins_;  // by digest
  Ledger told_;                            // from the committed rounds
  int64_t told_round_ = 0;
  GenerationId told_generation_;
  std::string told_digest_;
  std::set<std::string> ever_told_;
  std::string broken_;
  Counts counts_;
};

}  // namespace longstride
