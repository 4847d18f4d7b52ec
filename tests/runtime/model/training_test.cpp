#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <tuple>

#include "core/base/random.h"
#include "model_testing.h"

namespace longstride {
namespace {

class Training : public testing::TestWithParam<ModelCase> {};
INSTANTIATE_TEST_SUITE_P(Zoo, Training, testing::ValuesIn(SmallCases()),
                         [](const auto& info) { return info.param.name; });

// As the round engine does it: all parameters in one flat tensor, all gradients in another.
struct Flat {
  at::Tensor values;
  at::Tensor gradients;

  explicit Flat(Model& model) {
    int64_t n = 0;
    for (const NamedTensor& p : model.parameters()) n += p.tensor.numel();
    values = at::empty({n}, model.parameters()[0].tensor.scalar_type());
    gradients = at::zeros_like(values);
    int64_t offset = 0;
    for (NamedTensor& p : model.parameters()) {
      const at::Tensor view = values.narrow(0, offset, p.tensor.numel()).view(p.tensor.sizes());
      view.copy_(p.tensor.detach());
      p.tensor.set_data(view);
      p.tensor.mutable_grad() =
          gradients.narrow(0, offset, p.tensor.numel()).view(p.tensor.sizes());
      offset += p.tensor.numel();
    }
  }
};

TEST_P(Training, OutputsHaveTheShapeThatTheDataNeed) {
  const DataShape& shape = GetParam().shape;
  auto model = MakeOrDie(GetParam());
  const TensorBatch batch = MakeBatch(shape, 5, at::kDouble);
  std::vector<int64_t> expected{5, shape.classes > 0 ? shape.classes : shape.outputs};
  if (shape.tokens) expected.insert(expected.begin() + 1, shape.features[0]);
  EXPECT_EQ(model->Forward(batch.features).sizes().vec(), expected);
  EXPECT_EQ(LossOf(*model, batch).dim(), 0);
}

bool AreFinite(const std::vector<NamedTensor>& tensors) {
  return std::ranges::all_of(
      tensors, [](const NamedTensor& t) { return at::isfinite(t.tensor).all().item<bool>(); });
}

TEST(MinBatch, IsTwoWhereBatchNormalizationSeesASinglePixel) {
  for (const auto& [style, depth, side, least] :
       {std::tuple(ResnetStyle::kCifar, 8, 8, 1), std::tuple(ResnetStyle::kCifar, 8, 5, 1),
        std::tuple(ResnetStyle::kCifar, 8, 4, 2), std::tuple(ResnetStyle::kImagenet, 18, 33, 1),
        std::tuple(ResnetStyle::kImagenet, 18, 32, 2)}) {
    const ModelCase c = ResnetCase(style, depth, side);
    for (const int64_t samples : {1, 2}) {
      auto model = MakeOrDie(c);
      EXPECT_EQ(model->MinBatch(), least) << c.name << " of " << side;
      (void)model->Forward(MakeBatch(c.shape, samples, at::kDouble).features);
      EXPECT_EQ(AreFinite(model->buffers()), samples >= least) << c.name << " of " << side;
    }
  }
}

TEST_P(Training, GradientsReachEveryParameter) {
  auto model = MakeOrDie(GetParam());
  Backward(*model, MakeBatch(GetParam().shape, 8, at::kDouble));
  for (const NamedTensor& p : model->parameters()) {
    EXPECT_GT(p.tensor.grad().abs().max().item<double>(), 0.0) << p.name;
  }
}

TEST_P(Training, GradientIsTheNumericalDerivativeOfTheLoss) {
  auto model = MakeOrDie(GetParam(), Precision::kFloat64, 3);
  const TensorBatch batch = MakeBatch(GetParam().shape, 4, at::kDouble);
  Backward(*model, batch);
  constexpr double kStep = 1e-6;
  SeededRandom random(9);
  const at::NoGradGuard no_grad;
  for (NamedTensor& p : model->parameters()) {
    const at::Tensor flat = p.tensor.detach().view({-1});
    const auto i = static_cast<int64_t>(random.NextBelow(static_cast<uint64_t>(flat.numel())));
    double* element = flat.mutable_data_ptr<double>() + i;
    const double at_rest = *element;
    *element = at_rest + kStep;
    const double above = LossOf(*model, batch).item<double>();
    *element = at_rest - kStep;
    const double below = LossOf(*model, batch).item<double>();
    *element = at_rest;
    const double analytic = p.tensor.grad().view({-1})[i].item<double>();
    EXPECT_NEAR((above - below) / (2 * kStep), analytic, 1e-7 + 1e-5 * std::abs(analytic))
        << p.name << "[" << i << "]";
  }
}

TEST_P(Training, SinglePrecisionAgreesWithDouble) {
  auto wide = MakeOrDie(GetParam(), Precision::kFloat64);
  auto narrow = MakeOrDie(GetParam(), Precision::kFloat32);
  const DataShape& shape = GetParam().shape;
  const double exact = Backward(*wide, MakeBatch(shape, 8, at::kDouble));
  EXPECT_NEAR(Backward(*narrow, MakeBatch(shape, 8, at::kFloat)), exact, 1e-5 * std::abs(exact));
  for (size_t i = 0; i < wide->parameters().size(); ++i) {
    const at::Tensor g = wide->parameters()[i].tensor.grad();
    const at::Tensor h = narrow->parameters()[i].tensor.grad().to(at::kDouble);
    EXPECT_LT(g.sub(h).norm().item<double>(), 1e-4 * g.norm().item<double>() + 1e-6)
        << wide->parameters()[i].name;
  }
}

TEST_P(Training, DoublePrecisionModelTakesSinglePrecisionFeatures) {
  auto model = MakeOrDie(GetParam());
  const TensorBatch batch = MakeBatch(GetParam().shape, 3, at::kFloat);
  EXPECT_EQ(LossOf(*model, batch).scalar_type(), at::kDouble);
}

TEST_P(Training, OverfitsATinyBatch) {
  auto model = MakeOrDie(GetParam(), Precision::kFloat32);
  const TensorBatch batch = MakeBatch(GetParam().shape, 3, at::kFloat);
  const double before = LossOf(*model, batch).item<double>();
  for (int i = 0; i < 400; ++i) Step(*model, batch, 0.3);
  const at::Tensor outputs = model->Forward(batch.features);
  EXPECT_LT(model->Loss(outputs, batch.target).item<double>(), 0.1 * before);
  const int64_t expected = GetParam().shape.classes > 0 ? batch.target.numel() : 0;
  EXPECT_EQ(CountCorrect(outputs, batch.target), expected);
}

TEST_P(Training, FollowsItsParametersIntoAFlatTensor) {
  auto model = MakeOrDie(GetParam());
  auto reference = MakeOrDie(GetParam());
  const TensorBatch batch = MakeBatch(GetParam().shape, 4, at::kDouble);
  Flat flat(*model);
  const double expected = Backward(*reference, batch);

  const at::Tensor loss = LossOf(*model, batch);
  loss.backward();
  EXPECT_EQ(loss.item<double>(), expected);
  int64_t offset = 0;
  for (size_t i = 0; i < model->parameters().size(); ++i) {
    const at::Tensor& g = reference->parameters()[i].tensor.grad();
    EXPECT_TRUE(flat.gradients.narrow(0, offset, g.numel()).view(g.sizes()).equal(g))
        << model->parameters()[i].name;
    offset += g.numel();
  }
  flat.values.zero_();
  const at::Tensor outputs = model->Forward(batch.features);
  EXPECT_EQ(outputs.abs().max().item<double>(), 0.0) << "the model still reads its old parameters";
}

TEST(BatchNorm, MovesInTrainingAndStandsStillInEvaluation) {
  const ModelCase c = ResnetCase(ResnetStyle::kCifar, 8, 8);
  auto model = MakeOrDie(c);
  const TensorBatch batch = MakeBatch(c.shape, 4, at::kDouble);
  const auto snapshot = [&] {
    std::vector<at::Tensor> copy;
    for (const NamedTensor& b : model->buffers()) copy.push_back(b.tensor.clone());
    return copy;
  };
  const auto initial = snapshot();
  (void)model->Forward(batch.features);
  const auto trained = snapshot();
  model->SetTraining(false);
  const at::Tensor once = model->Forward(batch.features);
  const at::Tensor alone = model->Forward(batch.features.narrow(0, 0, 1));
  const auto evaluated = snapshot();
  for (size_t i = 0; i < initial.size(); ++i) {
    EXPECT_FALSE(initial[i].equal(trained[i])) << model->buffers()[i].name;
    EXPECT_TRUE(trained[i].equal(evaluated[i])) << model->buffers()[i].name;
  }
  EXPECT_TRUE(once.narrow(0, 0, 1).allclose(alone)) << "a sample depends on its neighbours";
}

TEST(Dropout, IsReproducedByTheSeedAndOffInEvaluation) {
  ModelCase c = GptCase();
  c.spec.gpt.dropout = 0.5;
  auto model = MakeOrDie(c);
  const TensorBatch batch = MakeBatch(c.shape, 2, at::kDouble);
  const auto forward = [&](uint64_t seed) {
    at::Generator generator = at::globalContext().defaultGenerator(at::kCPU);
    generator.set_current_seed(seed);
    return model->Forward(batch.features);
  };
  EXPECT_TRUE(forward(1).equal(forward(1)));
  EXPECT_FALSE(forward(1).equal(forward(2)));
  model->SetTraining(false);
  EXPECT_TRUE(forward(1).equal(forward(2)));
  auto plain = MakeOrDie(GptCase());
  EXPECT_TRUE(forward(1).allclose(plain->Forward(batch.features)));
}

TEST(Gpt, DoesNotLookAhead) {
  const ModelCase c = GptCase();
  auto model = MakeOrDie(c);
  at::Tensor ids = MakeBatch(c.shape, 1, at::kDouble).features.clone();
  const at::Tensor before = model->Forward(ids);
  ids[0][4] = (ids[0][4].item<int64_t>() + 1) % c.shape.classes;
  const at::Tensor after = model->Forward(ids);
  EXPECT_TRUE(before.narrow(1, 0, 4).allclose(after.narrow(1, 0, 4)));
  EXPECT_FALSE(before.narrow(1, 4, 1).allclose(after.narrow(1, 4, 1)));
}

TEST(Gpt, TakesFewerTokensThanItsContext) {
  const ModelCase c = GptCase();
  auto model = MakeOrDie(c);
  const at::Tensor ids = MakeBatch(c.shape, 2, at::kDouble).features;
  const at::Tensor some = model->Forward(ids.narrow(1, 0, 3));
  EXPECT_TRUE(some.allclose(model->Forward(ids).narrow(1, 0, 3)));
}

TEST(CountCorrect, CountsSamplesAndPositionsAndNothingInARegression) {
  const at::Tensor logits = at::zeros({2, 3, 4});
  logits.select(2, 1).fill_(1.0);  // every position predicts class 1
  const at::Tensor target = at::arange(6, at::kLong).remainder(3).reshape({2, 3});
  EXPECT_EQ(CountCorrect(logits, target), 2);
  EXPECT_EQ(CountCorrect(logits.select(0, 0), target[0]), 1);
  EXPECT_EQ(CountCorrect(at::zeros({2, 1}), at::zeros({2, 1})), 0);
}

}  // namespace
}  // namespace longstride
