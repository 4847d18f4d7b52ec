#include "cluster.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <thread>

#include "core/schedule/ledger.h"
#include "core/schedule/sample_order.h"
#include "runtime/model/model.h"
#include "runtime/training/training_state.h"

namespace longstride::testing {
namespace {

std::vector<double> Flatten(const std::vector<NamedTensor>& tensors) {
  std::vector<double> all;
  for (const NamedTensor& t : tensors) {
    if (!t.tensor.is_floating_point()) continue;
    const at::Tensor wide = t.tensor.detach().to(at::kDouble).contiguous();
    all.insert(all.end(), wide.const_data_ptr<double>(),
               wide.const_data_ptr<double>() + wide.numel());
  }
  return all;
}

std::unique_ptr<Model> NewModel(const TrainingJob& job, const DataShape& shape) {
  auto model = MakeModel(job.spec.model, shape, job.spec.training.precision,
                         static_cast<uint64_t>(job.spec.seed));
  if (!model.ok()) throw std::runtime_error(model.error().message);
  return std::move(*model);
}

class DyingCollective final : public ForwardingCollective {
 public:
  DyingCollective(std::unique_ptr<Collective> to, Purpose purpose, int at)
      : ForwardingCollective(std::move(to)), purpose_(purpose), at_(at) {}
  Status AllReduceSum(std::span<double> data, Purpose purpose) override {
    if (purpose == purpose_ && ++calls_ == at_) Abort();
    return ForwardingCollective::AllReduceSum(data, purpose);
  }

 private:
  const Purpose purpose_;
  const int at_;
  int calls_ = 0;
};

class PoisonedDataset final : public Dataset {
 public:
  PoisonedDataset(std::shared_ptr<const Dataset> from, int64_t index)
      : from_(std::move(from)), index_(index) {}
  int64_t size() const override { return from_->size(); }
  const DataShape& shape() const override { return from_->shape(); }
  void Read(std::span<const int64_t> indices, Batch& batch) const override {
    from_->Read(indices, batch);
    const size_t width = batch.floats.size() / indices.size();
    for (size_t i = 0; i < indices.size(); ++i) {
      if (index_ < 0 || indices[i] == index_)
        batch.floats[i * width] = std::numeric_limits<float>::quiet_NaN();
    }
  }

 private:
  std::shared_ptr<const Dataset> from_;
  int64_t index_;  // -1 = all
};

}  // namespace

TrainingJob SmallJob() {
  TrainingJob job;
  job.metadata.name = "small";
  job.spec.model.kind = ModelKind::kMlp;
  job.spec.model.mlp.hidden = {16};
  job.spec.data.format = DataFormat::kSynthetic;
  job.spec.data.synthetic = {.task = SyntheticTask::kClassification,
                             .samples = 512,
                             .evaluation_samples = 101,
                             .shape = {8},
                             .classes = 4,
                             .noise = 0.1};
  TrainingSpec& training = job.spec.training;
  training.precision = Precision::kFloat64;
  training.max_samples = 1600;
  training.learning_rate.value = 0.1;
  training.local_steps.steps = 1;
  training.batch.policy = BatchPolicy::kFixed;
  training.batch.initial = 32;
  return job;
}

TrainingJob SmallCnnJob() {
  TrainingJob job = SmallJob();
  job.spec.model.kind = ModelKind::kCnn;
  job.spec.model.cnn = {.channels = {4, 8}, .hidden = 16};
  job.spec.data.synthetic.task = SyntheticTask::kImages;
  job.spec.data.synthetic.shape = {1, 8, 8};
  return job;
}

Plan EqualPlan(int workers, int64_t version, int64_t first_round) {
  Plan plan{.version = version, .first_round = first_round, .shares = {}};
  plan.shares.assign(static_cast<size_t>(workers),
                     {.micro_batch_cap = 4096, .min_batch = 1, .max_batch = 4096});
  return plan;
}

Plan ExactPlan(const std::vector<int64_t>& batches, int64_t version, int64_t first_round) {
  Plan plan{.version = version, .first_round = first_round, .shares = {}};
  for (const int64_t b : batches) {
    plan.shares.push_back({.micro_batch_cap = 4096, .min_batch = b, .max_batch = b});
  }
  return plan;
}

std::shared_ptr<const Dataset> TrainingSet(const TrainingJob& job) {
  return std::move(OpenDatasets(job.spec.data, static_cast<uint64_t>(job.spec.seed)).value().train);
}

std::shared_ptr<const Dataset> EvaluationSet(const TrainingJob& job) {
  return std::move(
      OpenDatasets(job.spec.data, static_cast<uint64_t>(job.spec.seed)).value().evaluation);
}

std::shared_ptr<const Dataset> Poisoned(std::shared_ptr<const Dataset> from, int64_t index) {
  return std::make_shared<PoisonedDataset>(std::move(from), index);
}

Cluster::Cluster(TrainingJob job, int workers, std::string checkpoint_directory)
    : Cluster(job,
              std::vector<std::shared_ptr<const Dataset>>(static_cast<size_t>(workers),
                                                          TrainingSet(job)),
              std::move(checkpoint_directory)) {}

Cluster::Cluster(TrainingJob job, std::vector<std::shared_ptr<const Dataset>> train,
                 std::string checkpoint_directory, std::shared_ptr<const Dataset> evaluation) {
  at::set_num_threads(1);
  if (!evaluation) evaluation = EvaluationSet(job);
  for (const auto& set : train)
    Add({.job = job, .checkpoint_directory = checkpoint_directory}, set, evaluation);
}

Cluster::Cluster(const TrainingJob& job, const std::vector<std::string>& devices) {
  at::set_num_threads(1);
  for (const std::string& device : devices)
    Add({.job = job, .device = device}, TrainingSet(job), EvaluationSet(job));
}

void Cluster::Add(EngineOptions options, std::shared_ptr<const Dataset> train,
                  std::shared_ptr<const Dataset> evaluation) {
  Worker worker;
  std::unique_ptr<Model> model = NewModel(options.job, train->shape());
  worker.model = model.get();
  worker.index = static_cast<int64_t>(workers_.size());
  auto engine =
      MakeEngine(std::move(options), std::move(train), std::move(evaluation), std::move(model));
  if (!engine.ok()) throw std::runtime_error(engine.error().message);
  worker.engine = std::move(*engine);
  workers_.push_back(std::move(worker));
}

Cluster::~Cluster() = default;

void Cluster::Adopt(Cluster&& other) {
  for (Worker& worker : other.workers_) {
    worker.index = 0;
    while (std::ranges::count(workers_, worker.index, &Worker::index) > 0) ++worker.index;
    workers_.push_back(std::move(worker));
  }
  other.workers_.clear();
}

std::vector<Result<Outcome>> Cluster::Run(const std::vector<Plan>& plans, int64_t counter,
                                          const Wrap& wrap) {
  std::vector<std::unique_ptr<Collective>> collectives = MakeInProcessCollectives(size());
  std::vector<Result<Outcome>> outcomes(workers_.size(), Result<Outcome>(BugError("did not run")));
  std::vector<std::thread> threads;
  for (int r = 0; r < size(); ++r) {
    threads.emplace_back([&, r] {
      Generation generation{.id = {1, counter}, .rank = r, .members = {}, .plans = plans};
      for (int m = 0; m < size(); ++m)
        generation.members.push_back({{"worker", workers_[m].index, "1"}, "127.0.0.1"});
      std::unique_ptr<Collective> collective = std::move(collectives[r]);
      if (wrap) collective = wrap(std::move(collective));
      outcomes[r] = workers_[r].engine->Run(generation, *collective, workers_[r].channel);
      const bool gone = !outcomes[r].ok() || *outcomes[r] == Outcome::kUnfit;
      if (gone) collective->Abort();  // as a process that ends would
    });
  }
  for (std::thread& t : threads) t.join();
  return outcomes;
}

void Cluster::RunToEnd(const std::vector<Plan>& plans) {
  for (const Result<Outcome>& outcome : Run(plans)) {
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    EXPECT_EQ(*outcome, Outcome::kCompleted);
  }
}

std::vector<double> Cluster::Parameters(int rank) const {
  return Flatten(workers_[rank].model->parameters());
}

std::vector<double> Cluster::Buffers(int rank) const {
  return Flatten(workers_[rank].model->buffers());
}

std::vector<double> PlainSgd(const TrainingJob& job, int64_t batch, int64_t steps) {
  at::set_num_threads(1);
  const std::shared_ptr<const Dataset> train = TrainingSet(job);
  const std::unique_ptr<Model> model = NewModel(job, train->shape());
  model->SetTraining(true);
  const SampleOrder order(SampleOrderSeed(job.spec), train->size());
  const bool wide = job.spec.training.precision == Precision::kFloat64;
  for (int64_t k = 0; k < steps; ++k) {
    std::vector<int64_t> indices;
    order.AppendIndices({k * batch, (k + 1) * batch}, indices);
    Batch samples;
    train->Read(indices, samples);
    std::vector<int64_t> shape = train->shape().features;
    shape.insert(shape.begin(), batch);
    const at::Tensor features =
        at::from_blob(samples.floats.data(), shape, at::TensorOptions().dtype(at::kFloat))
            .to(wide ? at::kDouble : at::kFloat);
    const at::Tensor target =
        at::from_blob(samples.labels.data(), {batch}, at::TensorOptions().dtype(at::kLong));
    for (NamedTensor& p : model->parameters()) p.tensor.mutable_grad().reset();
    model->Loss(model->Forward(features), target).backward();
    at::NoGradGuard no_grad;
    for (NamedTensor& p : model->parameters()) {
      p.tensor.sub_(p.tensor.grad() * job.spec.training.learning_rate.value);
    }
  }
  return Flatten(model->parameters());
}

void ExpectLedgerLaw(const std::vector<RoundReport>& reports) {
  Ledger ledger;
  for (const RoundReport& r : reports) {
    EXPECT_EQ(r.cursor_begin, ledger.cursor());
    const Status booked = ledger.Record({r.committed, r.discarded, r.lost});
    ASSERT_TRUE(booked.ok()) << "round " << r.round << ": " << booked.error().message;
    EXPECT_EQ(TotalSize(r.committed), r.samples);
    EXPECT_EQ(ledger.holes().ranges(), r.holes);
  }
  EXPECT_TRUE(ledger.Check().ok());
  EXPECT_TRUE(ledger.holes().empty()) << "every sample is read in the end";
}

double RelativeDifference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return INFINITY;
  double difference = 0, scale = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return INFINITY;
    difference = std::max(difference, std::abs(a[i] - b[i]));
    scale = std::max(scale, std::abs(b[i]));
  }
  return difference / scale;
}

std::string FreshFolder(const std::string& name) {
  const std::filesystem::path path =
      std::filesystem::path(LONGSTRIDE_BINARY_DIR) / "tests" / "training" / name;
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path.string();
}

Cluster::Wrap DiesIn(Purpose purpose, int rank, int at) {
  return [=](std::unique_ptr<Collective> c) -> std::unique_ptr<Collective> {
    if (c->rank() != rank) return c;
    return std::make_unique<DyingCollective>(std::move(c), purpose, at);
  };
}

}  // namespace longstride::testing
