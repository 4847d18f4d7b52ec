// M engines in threads of this process, joined by in-process collectives: the fixture of the
// engine's tests.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/protocol/messages.h"
#include "core/spec/training_job.h"
#include "runtime/collective/collective.h"
#include "runtime/data/dataset.h"
#include "runtime/training/engine.h"

namespace longstride::testing {

// A small MLP (8 features, 4 classes) in double precision with SGD, fixed batch 32, H = 1; 512
// samples.
TrainingJob SmallJob();
// The same with a small CNN over 1x8x8 images.
TrainingJob SmallCnnJob();

// Plan `version` that deals the batch equally, or exactly `batches` where given.
Plan EqualPlan(int workers, int64_t version = 1, int64_t first_round = 0);
Plan ExactPlan(const std::vector<int64_t>& batches, int64_t version = 1, int64_t first_round = 0);

// What a test sees of one worker's conversation.
class RecordingChannel final : public ControlChannel {
 public:
  std::vector<Plan> Plans() override {
    return plans_from_call > 0 && ++plan_calls >= plans_from_call ? later_plans : plans;
  }
  BoundaryRequest Requested() override {
    const bool now = stop_at_call > 0 && ++calls >= stop_at_call;
    return now ? request : BoundaryRequest::kNone;
  }
  BoundaryRequest request = BoundaryRequest::kStop;
  void Report(const RoundReport& report) override { reports.push_back(report); }
  void Begins(const OwnWork& work) override { works.push_back(work); }

  std::vector<Plan> plans;
  std::vector<Plan> later_plans;  // in place of `plans` from call `plans_from_call` on
  int plans_from_call = 0;
  int plan_calls = 0;
  int stop_at_call = 0;  // 0 = never
  int calls = 0;
  std::vector<RoundReport> reports;
  std::vector<OwnWork> works;
};

// Forwards to another collective; a test overrides what it wants to break.
class ForwardingCollective : public Collective {
 public:
  explicit ForwardingCollective(std::unique_ptr<Collective> to) : to_(std::move(to)) {}
  int rank() const override { return to_->rank(); }
  int size() const override { return to_->size(); }
  Status AllReduceSum(std::span<float> d, Purpose p) override { return to_->AllReduceSum(d, p); }
  Status AllReduceSum(std::span<double> d, Purpose p) override { return to_->AllReduceSum(d, p); }
  Status AllGather(std::span<const std::byte> mine, std::span<std::byte> all, Purpose p) override {
    return to_->AllGather(mine, all, p);
  }
  Status AllToAll(std::span<const std::byte> s, std::span<std::byte> r, Purpose p) override {
    return to_->AllToAll(s, r, p);
  }
  Status Broadcast(std::span<std::byte> d, int root, Purpose p) override {
    return to_->Broadcast(d, root, p);
  }
  Status Send(std::span<const std::byte> d, int to, Purpose p) override {
    return to_->Send(d, to, p);
  }
  Status Receive(std::span<std::byte> d, int from, Purpose p) override {
    return to_->Receive(d, from, p);
  }
  Status Barrier() override { return to_->Barrier(); }
  void SetTimeout(Duration timeout) override { to_->SetTimeout(timeout); }
  void Abort() override { to_->Abort(); }
  const Traffic& traffic() const override { return to_->traffic(); }

 protected:
  std::unique_ptr<Collective> to_;
};

class Cluster {
 public:
  // Datasets are the job's.
  Cluster(TrainingJob job, int workers, std::string checkpoint_directory = "");
  // One worker for each of `devices`, as of EngineOptions.
  Cluster(const TrainingJob& job, const std::vector<std::string>& devices);
  // With each rank's own training set, and another evaluation set than the job's if not null.
  Cluster(TrainingJob job, std::vector<std::shared_ptr<const Dataset>> train,
          std::string checkpoint_directory = "",
          std::shared_ptr<const Dataset> evaluation = nullptr);
  Cluster(Cluster&&) = default;
  ~Cluster();
  // Takes the workers of another cluster as further ranks; they get the lowest free indices.
  void Adopt(Cluster&& other);
  // The worker is gone; those after it get lower ranks.
  void Remove(int rank) { workers_.erase(workers_.begin() + rank); }

  using Wrap = std::function<std::unique_ptr<Collective>(std::unique_ptr<Collective>)>;
  // One generation on all workers; returns what each said. `wrap` may decorate each collective.
  std::vector<Result<Outcome>> Run(const std::vector<Plan>& plans, int64_t counter = 1,
                                   const Wrap& wrap = {});
  // Run that must complete on all workers.
  void RunToEnd(const std::vector<Plan>& plans);

  Engine& engine(int rank) { return *workers_[rank].engine; }
  RecordingChannel& channel(int rank) { return workers_[rank].channel; }
  const std::vector<RoundReport>& reports(int rank = 0) { return workers_[rank].channel.reports; }
  // All parameters, one tensor after the other.
  std::vector<double> Parameters(int rank = 0) const;
  // As many of the buffers as are floats.
  std::vector<double> Buffers(int rank = 0) const;
  int size() const { return static_cast<int>(workers_.size()); }

 private:
  struct Worker {
    std::unique_ptr<Engine> engine;
    Model* model = nullptr;  // owned by the engine
    int64_t index = 0;       // within its group; names its shard
    RecordingChannel channel;
  };
  void Add(EngineOptions options, std::shared_ptr<const Dataset> train,
           std::shared_ptr<const Dataset> evaluation);

  std::vector<Worker> workers_;
};

// `rank` dies in its `at`-th sum for `purpose`, of double precision.
Cluster::Wrap DiesIn(Purpose purpose, int rank, int at = 1);

std::shared_ptr<const Dataset> TrainingSet(const TrainingJob& job);
std::shared_ptr<const Dataset> EvaluationSet(const TrainingJob& job);

// `from` with not-a-number as the first feature of sample `index`, or of all.
std::shared_ptr<const Dataset> Poisoned(std::shared_ptr<const Dataset> from, int64_t index = -1);

// Parameters after `steps` steps of plain SGD on batches of B samples in the job's order, by a bare
// loop that shares nothing with the engine but the model and the data.
std::vector<double> PlainSgd(const TrainingJob& job, int64_t batch, int64_t steps);

// The reports of a whole run book every position once (algorithms.md section 9), and none is left
// unread.
void ExpectLedgerLaw(const std::vector<RoundReport>& reports);

// max |a - b| / max |b|.
double RelativeDifference(const std::vector<double>& a, const std::vector<double>& b);

// A fresh folder below the build tree, removed first if it is there.
std::string FreshFolder(const std::string& name);

}  // namespace longstride::testing
