// Gradient accumulation, and what happens when memory runs out in the middle of it.
#include "runtime/training/gradient.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <new>
#include <numeric>
#include <stdexcept>

#include "cluster.h"
#include "runtime/model/model.h"

namespace longstride::testing {
namespace {

// How memory runs out.
void ThrowBadAlloc() {
  throw std::bad_alloc();
}
void AskForTooMuch() {
  (void)at::empty({int64_t{1} << 50});
}

// A model that fits only `limit` samples into memory, and counts the samples that it has seen in a
// buffer, as batch normalization keeps its statistics.
class HungryModel final : public Model {
 public:
  HungryModel(std::unique_ptr<Model> from, int64_t limit, void (*refuse)())
      : from_(std::move(from)), limit_(limit), refuse_(refuse) {
    buffers_.push_back({"seen", at::zeros({1}, at::kDouble)});
    buffers_.push_back({"calls", at::zeros({1}, at::kLong)});
  }
  std::vector<NamedTensor>& parameters() override { return from_->parameters(); }
  std::vector<NamedTensor>& buffers() override { return buffers_; }
  void SetTraining(bool training) override { from_->SetTraining(training); }
  at::Tensor Forward(const at::Tensor& features) override {
    buffers_[0].tensor.add_(features.size(0));
    buffers_[1].tensor.add_(1);
    if (features.size(0) > limit_) refuse_();
    return from_->Forward(features);
  }
  at::Tensor Loss(const at::Tensor& outputs, const at::Tensor& target) override {
    return from_->Loss(outputs, target);
  }

 private:
  std::unique_ptr<Model> from_;
  int64_t limit_;
  void (*refuse_)();
  std::vector<NamedTensor> buffers_;
};

// The gradient of the first 30 samples, flat, and the micro-batch cap afterwards.
struct Computed {
  std::vector<double> gradient;
  double loss = 0;
  int64_t memory_cap = 0;
  double seen = 0;    // samples
  int64_t calls = 0;  // micro-batches
  Status status;
};

Computed ComputeWith(int64_t limit, int64_t cap, void (*refuse)() = ThrowBadAlloc,
                     const std::string& device = "") {
  const TrainingJob job = SmallJob();
  const auto train = TrainingSet(job);
  HungryModel model(std::move(*MakeModel(job.spec.model, train->shape(), Precision::kFloat64, 1)),
                    limit, refuse);
  FlatState<double> flat(model, device);
  GradientComputer<double> gradients(model, flat, train->shape());
  gradients.set_cap(cap);
  std::vector<int64_t> indices(30);
  std::iota(indices.begin(), indices.end(), int64_t{0});
  Batch batch;
  train->Read(indices, batch);
  const Result<double> loss = gradients.Compute(batch, 1, nullptr);
  flat.ToHost();
  Computed out;
  out.memory_cap = gradients.memory_cap();
  out.seen = flat.buffers()[0];
  out.calls = flat.ReadIntegers()[0];
  if (!loss.ok()) {
    out.status = loss.error();
    return out;
  }
  out.loss = *loss;
  for (const auto& segment : flat.Gradients()) {
    out.gradient.insert(out.gradient.end(), segment.gradient.begin(), segment.gradient.end());
  }
  return out;
}

TEST(Gradients, DoNotDependOnTheMicroBatch) {
  const Computed whole = ComputeWith(1000, 1000);
  ASSERT_EQ(whole.gradient.size(), 8u * 16 + 16 + 16 * 4 + 4);
  for (const int64_t cap : {1, 7, 15, 29}) {
    const Computed split = ComputeWith(1000, cap);
    EXPECT_LT(RelativeDifference(split.gradient, whole.gradient), 1e-13) << cap;
    EXPECT_NEAR(split.loss, whole.loss, 1e-13);
  }
}

TEST(Gradients, OutOfMemoryHalvesTheMicroBatchAndKeepsTheGradient) {
  const Computed whole = ComputeWith(1000, 1000);
  const Computed hungry = ComputeWith(9, 1000);  // 30 and 15 do not fit, 8 does
  EXPECT_EQ(hungry.memory_cap, 8);
  EXPECT_LT(RelativeDifference(hungry.gradient, whole.gradient), 1e-13);
}

TEST(Gradients, AllocationsThatLibTorchRefusesAreOutOfMemoryToo) {
  const Computed hungry = ComputeWith(9, 1000, AskForTooMuch);
  ASSERT_TRUE(hungry.status.ok()) << hungry.status.error().message;
  EXPECT_EQ(hungry.memory_cap, 8);
}

TEST(Gradients, ABatchThatIsComputedAgainLeavesItsBuffersAsIfTheFirstTimeHadNotBeen) {
  for (const char* device : {"", "cpu"}) {  // in place, and as on a device
    for (const int64_t limit : {1000, 9, 3}) {
      const Computed hungry = ComputeWith(limit, 1000, ThrowBadAlloc, device);
      EXPECT_EQ(hungry.seen, 30) << limit;
      EXPECT_EQ(hungry.calls, limit > 30 ? 1 : limit == 9 ? 4 : 15) << limit;
    }
  }
}

TEST(MicroBatches, OfAnEngineCanBeLimitedFromOutsideWithoutChangingWhatIsLearned) {
  Cluster unlimited(SmallJob(), 2), limited(SmallJob(), 2);
  limited.engine(1).LimitMicroBatch(5);
  unlimited.RunToEnd({EqualPlan(2)});
  limited.RunToEnd({EqualPlan(2)});
  EXPECT_LT(RelativeDifference(limited.Parameters(), unlimited.Parameters()), 1e-10);
  for (const RoundReport& report : limited.reports(1)) EXPECT_EQ(report.micro_batch_cap, 5);
  for (const RoundReport& report : unlimited.reports(1)) EXPECT_EQ(report.micro_batch_cap, 4096);
}

// A dataset that fails: where a batch is read, or where a model is sized by it.
class FailingSet final : public Dataset {
 public:
  FailingSet(std::shared_ptr<const Dataset> from, std::string failure)
      : from_(std::move(from)), failure_(std::move(failure)) {}
  int64_t size() const override { return from_->size(); }
  const DataShape& shape() const override {
    if (fail_shape) throw std::runtime_error(failure_);
    return from_->shape();
  }
  void Read(std::span<const int64_t> indices, Batch& batch) const override {
    if (fail_read) throw std::runtime_error(failure_);
    from_->Read(indices, batch);
  }
  bool fail_shape = false;
  mutable bool fail_read = false;

 private:
  std::shared_ptr<const Dataset> from_;
  std::string failure_;
};

// As LibTorch words it.
constexpr const char* kRefused = "DefaultCPUAllocator: can't allocate memory";

TEST(TimeStep, TellsWhatDoesNotFitFromWhatIsWrongAndLeavesNoTraceOfEither) {
  for (const char* failure : {kRefused, "index out of range"}) {
    const TrainingJob job = SmallCnnJob();
    const auto failing = std::make_shared<FailingSet>(TrainingSet(job), failure);
    Cluster cluster(job, std::vector<std::shared_ptr<const Dataset>>{failing});
    Cluster untouched(job, 1);
    failing->fail_read = true;
    const Result<double> seconds = cluster.engine(0).TimeStep(8, 4);
    ASSERT_FALSE(seconds.ok());
    EXPECT_EQ(seconds.error().code, failure == kRefused ? ErrorCode::kResource : ErrorCode::kBug);
    EXPECT_NE(seconds.error().message.find(failure == kRefused ? "memory" : failure),
              std::string::npos);
    failing->fail_read = false;
    cluster.RunToEnd({EqualPlan(1)});
    untouched.RunToEnd({EqualPlan(1)});
    EXPECT_EQ(cluster.Parameters(), untouched.Parameters());
  }
}

TEST(MakeEngine, TellsAModelThatDoesNotFitFromOneThatIsWrong) {
  for (const char* failure : {kRefused, "index out of range"}) {
    const TrainingJob job = SmallJob();
    const auto failing = std::make_shared<FailingSet>(TrainingSet(job), failure);
    auto model = MakeModel(job.spec.model, failing->shape(), Precision::kFloat64, 1);
    failing->fail_shape = true;
    const auto engine = MakeEngine({.job = job}, failing, EvaluationSet(job), std::move(*model));
    ASSERT_FALSE(engine.ok());
    EXPECT_EQ(engine.error().code, failure == kRefused ? ErrorCode::kResource : ErrorCode::kBug);
  }
}

TEST(MakeEngine, RefusesToWaitForAnAccuracyWhereThereAreNoClasses) {
  TrainingJob job = SmallJob();
  job.spec.data.synthetic.task = SyntheticTask::kRegression;
  job.spec.evaluation.target = {.metric = TargetMetric::kAccuracy, .value = 0.9};
  const auto train = TrainingSet(job);
  auto model = MakeModel(job.spec.model, train->shape(), Precision::kFloat64, 1);
  const auto engine = MakeEngine({.job = job}, train, EvaluationSet(job), std::move(*model));
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.error().code, ErrorCode::kUser);
}

TEST(Gradients, OneSampleThatDoesNotFitIsAnError) {
  const Computed none = ComputeWith(0, 1000);
  ASSERT_FALSE(none.status.ok());
  EXPECT_EQ(none.status.error().code, ErrorCode::kResource);
}

}  // namespace
}  // namespace longstride::testing
