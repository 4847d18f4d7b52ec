// A user's own scripted module, with files that make_fixtures.py made with Python torch.
#include <ATen/Context.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "model_testing.h"

namespace longstride {
namespace {

const std::string kFixtures = LONGSTRIDE_SOURCE_DIR "/tests/runtime/model/fixtures/";
const DataShape kFour{{4}, false, 3, 0};

ModelCase ScriptCase(const std::string& file, ScriptLoss loss = ScriptLoss::kCrossEntropy,
                     DataShape shape = kFour) {
  ModelSpec spec;
  spec.kind = ModelKind::kTorchscript;
  spec.torchscript = {kFixtures + file, loss};
  return {"torchscript", spec, std::move(shape)};
}

Error ErrorOf(const ModelCase& c) {
  const auto made = MakeModel(c.spec, c.shape, Precision::kFloat32, 1);
  return made.ok() ? Error{ErrorCode::kBug, "the model was made"} : made.error();
}

TEST(Torchscript, ListsParametersAndBuffersByTheirNames) {
  auto model = MakeOrDie(ScriptCase("scripted.pt"), Precision::kFloat32);
  std::vector<std::string> names;
  for (const NamedTensor& p : model->parameters()) names.push_back(p.name);
  EXPECT_THAT(names, testing::ElementsAre("fc1.weight", "fc1.bias", "norm.weight", "norm.bias",
                                          "fc2.weight", "fc2.bias"));
  names.clear();
  for (const NamedTensor& b : model->buffers()) names.push_back(b.name);
  EXPECT_THAT(names, testing::ElementsAre("norm.running_mean", "norm.running_var",
                                          "norm.num_batches_tracked"));
}

TEST(Torchscript, TakesThePrecisionOfTheJob) {
  for (const char* file : {"scripted.pt", "scripted_double.pt"}) {
    for (const Precision precision : {Precision::kFloat32, Precision::kFloat64}) {
      auto model = MakeOrDie(ScriptCase(file), precision);
      const at::ScalarType type = precision == Precision::kFloat32 ? at::kFloat : at::kDouble;
      for (const NamedTensor& p : model->parameters()) EXPECT_EQ(p.tensor.scalar_type(), type);
      for (const NamedTensor& b : model->buffers()) {
        EXPECT_EQ(b.tensor.scalar_type(), b.name.ends_with("tracked") ? at::kLong : type);
      }
      const TensorBatch batch = MakeBatch(kFour, 4, at::kFloat);
      Backward(*model, batch);
      for (const NamedTensor& p : model->parameters())
        EXPECT_EQ(p.tensor.grad().scalar_type(), type);
    }
  }
}

TEST(Torchscript, TrainsAndMovesItsStatistics) {
  at::manual_seed(1);  // of dropout, which would otherwise draw from another seed in every process
  auto model = MakeOrDie(ScriptCase("scripted.pt"), Precision::kFloat32);
  const TensorBatch batch = MakeBatch(kFour, 3, at::kFloat);
  const at::Tensor mean = model->buffers()[0].tensor.clone();
  const double before = LossOf(*model, batch).item<double>();
  EXPECT_FALSE(mean.equal(model->buffers()[0].tensor));
  for (int i = 0; i < 400; ++i) Step(*model, batch, 0.3);
  model->SetTraining(false);
  EXPECT_LT(LossOf(*model, batch).item<double>(), 0.1 * before);
}

TEST(Torchscript, EvaluationSwitchesDropoutOffAndFreezesStatistics) {
  auto model = MakeOrDie(ScriptCase("scripted.pt"), Precision::kFloat32);
  const at::Tensor x = MakeBatch(kFour, 4, at::kFloat).features;
  EXPECT_FALSE(model->Forward(x).equal(model->Forward(x)));
  model->SetTraining(false);
  const at::Tensor mean = model->buffers()[0].tensor.clone();
  EXPECT_TRUE(model->Forward(x).equal(model->Forward(x)));
  EXPECT_TRUE(mean.equal(model->buffers()[0].tensor));
}

TEST(Torchscript, FollowsItsParametersWhenTheyAreRebound) {
  auto model = MakeOrDie(ScriptCase("scripted.pt"), Precision::kFloat64);
  model->SetTraining(false);
  const at::Tensor x = MakeBatch(kFour, 4, at::kDouble).features;
  EXPECT_GT(model->Forward(x).abs().max().item<double>(), 0.0);
  for (NamedTensor& p : model->parameters()) p.tensor.set_data(at::zeros_like(p.tensor.detach()));
  EXPECT_EQ(model->Forward(x).abs().max().item<double>(), 0.0);
}

TEST(Torchscript, ProbingLeavesTheFileState) {
  auto model = MakeOrDie(ScriptCase("scripted.pt"), Precision::kFloat32);
  EXPECT_EQ(model->buffers()[0].tensor.abs().max().item<double>(), 0.0);
  EXPECT_EQ(model->buffers()[2].tensor.item<int64_t>(), 0);
}

TEST(Torchscript, ListsATiedParameterOnceAndAFrozenOneAsBuffer) {
  auto model = MakeOrDie(ScriptCase("tied.pt"), Precision::kFloat32);
  std::vector<std::string> names;
  for (const NamedTensor& p : model->parameters()) names.push_back(p.name);
  EXPECT_THAT(names, testing::ElementsAre("a.weight", "out.bias"));
  ASSERT_EQ(model->buffers().size(), 1U);
  EXPECT_EQ(model->buffers()[0].name, "out.weight");
  Backward(*model, MakeBatch(kFour, 4, at::kFloat));
  EXPECT_GT(model->parameters()[0].tensor.grad().abs().max().item<double>(), 0.0);
}

TEST(Torchscript, TellsWhetherItTrainsOnOneSample) {
  EXPECT_EQ(MakeOrDie(ScriptCase("scripted.pt"))->MinBatch(), 2) << "batch normalization";
  EXPECT_EQ(MakeOrDie(ScriptCase("tied.pt"))->MinBatch(), 1);
}

TEST(Torchscript, LearnsARegression) {
  const DataShape shape{{4}, false, 0, 1};
  auto model = MakeOrDie(ScriptCase("regression.pt", ScriptLoss::kMeanSquaredError, shape),
                         Precision::kFloat32);
  const TensorBatch batch = MakeBatch(shape, 3, at::kFloat);
  const double before = LossOf(*model, batch).item<double>();
  for (int i = 0; i < 400; ++i) Step(*model, batch, 0.3);
  EXPECT_LT(LossOf(*model, batch).item<double>(), 0.1 * before);
}

TEST(Torchscript, RefusesTracedCodeWithTheReason) {
  for (const char* file : {"traced.pt", "traced_resaved.pt", "traced_inside.pt"}) {
    const Error error = ErrorOf(ScriptCase(file));
    EXPECT_EQ(error.code, ErrorCode::kData) << file;
    EXPECT_THAT(error.message, testing::HasSubstr("torch.jit.trace, which fixes the mode")) << file;
  }
}

TEST(Torchscript, RefusesWhatCannotBeTrained) {
  const Error frozen = ErrorOf(ScriptCase("frozen.pt"));
  EXPECT_EQ(frozen.code, ErrorCode::kData);
  EXPECT_THAT(frozen.message, testing::HasSubstr("no parameters to train"));
}

TEST(Torchscript, RefusesFilesThatAreNoTorchscript) {
  const Error missing = ErrorOf(ScriptCase("absent.pt"));
  EXPECT_EQ(missing.code, ErrorCode::kData);
  EXPECT_THAT(missing.message, testing::HasSubstr("no such file"));
  const Error state = ErrorOf(ScriptCase("state_dict.pt"));
  EXPECT_EQ(state.code, ErrorCode::kData);
  EXPECT_THAT(state.message, testing::HasSubstr("cannot be loaded as TorchScript"));
  const Error text = ErrorOf(ScriptCase("make_fixtures.py"));
  EXPECT_EQ(text.code, ErrorCode::kData);
  EXPECT_THAT(text.message, testing::Not(testing::HasSubstr("\n")));
}

// Every file cut at a different length, and with a byte changed in its middle, gives an error or a
// model.
TEST(Torchscript, BrokenFilesNeverCrash) {
  std::ifstream file(kFixtures + "scripted.pt", std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(file)), {});
  const auto path = std::filesystem::temp_directory_path() /
                    ("longstride_model_" + std::to_string(getpid()) + ".pt");
  ModelCase c = ScriptCase("scripted.pt");
  c.spec.torchscript.path = path.string();
  for (size_t cut = 0; cut < whole.size(); cut += whole.size() / 12) {
    std::ofstream(path, std::ios::binary) << whole.substr(0, cut);
    EXPECT_EQ(ErrorOf(c).code, ErrorCode::kData) << cut;
  }
  for (size_t at = 100; at < whole.size(); at += whole.size() / 12) {
    std::string broken = whole;
    broken[at] = static_cast<char>(broken[at] ^ 0x5a);
    std::ofstream(path, std::ios::binary) << broken;
    (void)MakeModel(c.spec, c.shape, Precision::kFloat32, 1);
  }
  std::filesystem::remove(path);
}

TEST(Torchscript, MisfitsAreUserErrors) {
  const Error features =
      ErrorOf(ScriptCase("scripted.pt", ScriptLoss::kCrossEntropy, {{5}, false, 3, 0}));
  EXPECT_EQ(features.code, ErrorCode::kUser);
  EXPECT_THAT(features.message, testing::HasSubstr("forward fails on features [2, 5]"));
  const Error classes =
      ErrorOf(ScriptCase("scripted.pt", ScriptLoss::kCrossEntropy, {{4}, false, 7, 0}));
  EXPECT_EQ(classes.code, ErrorCode::kUser);
  EXPECT_THAT(classes.message,
              testing::HasSubstr("puts out [2, 3] for features [2, 4], but the data need [2, 7]"));
  const Error loss = ErrorOf(ScriptCase("scripted.pt", ScriptLoss::kMeanSquaredError));
  EXPECT_EQ(loss.code, ErrorCode::kUser);
  EXPECT_THAT(loss.message, testing::HasSubstr("model.torchscript.loss"));
}

}  // namespace
}  // namespace longstride
