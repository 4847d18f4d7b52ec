// Gradient accumulation, and what happens when memory runs out in the middle of it.
#include "runtime/training/gradient.h"

#include <gtest/gtest.h>

#include <new>
#include <numeric>

#include "cluster.h"
#include "runtime/model/model.h"

namespace longstride::testing {
namespace {

// A model that fits only `limit` samples into memory.
class HungryModel final : public Model {
 public:
  HungryModel(std::unique_ptr<Model> from, int64_t limit) : from_(std::move(from)), limit_(limit) {}
  std::vector<NamedTensor>& parameters() override { return from_->parameters(); }
  std::vector<NamedTensor>& buffers() override { return from_->buffers(); }
  void SetTraining(bool training) override { from_->SetTraining(training); }
  at::Tensor Forward(const at::Tensor& features) override {
    if (features.size(0) > limit_) throw std::bad_alloc();
    return from_->Forward(features);
  }
  at::Tensor Loss(const at::Tensor& outputs, const at::Tensor& target) override {
    return from_->Loss(outputs, target);
  }

 private:
  std::unique_ptr<Model> from_;
  int64_t limit_;
};

// The gradient of the first 30 samples, flat, and the micro-batch cap afterwards.
struct Computed {
  std::vector<double> gradient;
  double loss = 0;
  int64_t memory_cap = 0;
  Status status;
};

Computed ComputeWith(int64_t limit, int64_t cap) {
  const TrainingJob job = SmallJob();
  const auto train = TrainingSet(job);
  HungryModel model(std::move(*MakeModel(job.spec.model, train->shape(), Precision::kFloat64, 1)),
                    limit);
  FlatState<double> flat(model);
  GradientComputer<double> gradients(model, flat, train->shape());
  gradients.set_cap(cap);
  std::vector<int64_t> indices(30);
  std::iota(indices.begin(), indices.end(), int64_t{0});
  Batch batch;
  train->Read(indices, batch);
  const Result<double> loss = gradients.Compute(batch, 1, nullptr);
  Computed out;
  out.memory_cap = gradients.memory_cap();
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

TEST(Gradients, OneSampleThatDoesNotFitIsAnError) {
  const Computed none = ComputeWith(0, 1000);
  ASSERT_FALSE(none.status.ok());
  EXPECT_EQ(none.status.error().code, ErrorCode::kResource);
}

}  // namespace
}  // namespace longstride::testing
