#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "model_testing.h"

namespace longstride {
namespace {

int64_t Count(Model& model) {
  int64_t n = 0;
  for (const NamedTensor& p : model.parameters()) n += p.tensor.numel();
  return n;
}

using Shapes = std::map<std::string, std::vector<int64_t>>;

Shapes StateOf(Model& model) {
  Shapes shapes;
  for (const NamedTensor& p : model.parameters()) shapes[p.name] = p.tensor.sizes().vec();
  for (const NamedTensor& b : model.buffers()) shapes[b.name] = b.tensor.sizes().vec();
  return shapes;
}

ModelCase WithShape(ModelCase c, DataShape shape) {
  c.shape = std::move(shape);
  return c;
}

TEST(Parameters, CountsAreThoseOfThePublishedNetworks) {
  const auto count = [](const ModelCase& c) { return Count(*MakeOrDie(c, Precision::kFloat32)); };
  // He et al. 2016 with option B shortcuts, 10 classes; torchvision's figures for 1000 classes.
  EXPECT_EQ(count(WithShape(ResnetCase(ResnetStyle::kCifar, 20, 32), Images(3, 32, 10))), 272474);
  EXPECT_EQ(count(WithShape(ResnetCase(ResnetStyle::kCifar, 56, 32), Images(3, 32, 10))), 855770);
  EXPECT_EQ(count(WithShape(ResnetCase(ResnetStyle::kImagenet, 18, 224), Images(3, 224, 1000))),
            11689512);
  EXPECT_EQ(count(WithShape(ResnetCase(ResnetStyle::kImagenet, 50, 224), Images(3, 224, 1000))),
            25557032);
  ModelSpec cnn;
  EXPECT_EQ(count({"cnn", cnn, Images(1, 28, 10)}), 160 + 4640 + 401664 + 2570);
  ModelSpec gpt;  // 4 layers, width 128, the head tied
  gpt.kind = ModelKind::kGpt;
  EXPECT_EQ(count({"gpt", gpt, {{64}, true, 256, 0}}),
            (256 + 64) * 128 + 4 * (12 * 128 * 128 + 13 * 128) + 2 * 128);
}

TEST(Parameters, ResnetStateIsNamedAndShapedAsInTorchvision) {
  std::ifstream file(LONGSTRIDE_SOURCE_DIR "/tests/runtime/model/fixtures/state_names.json");
  const auto expected = nlohmann::json::parse(file);
  for (const int64_t depth : {18, 50}) {
    const auto c = WithShape(ResnetCase(ResnetStyle::kImagenet, depth, 224), Images(3, 224, 1000));
    EXPECT_EQ(StateOf(*MakeOrDie(c, Precision::kFloat32)), expected.at(c.name).get<Shapes>())
        << c.name;
  }
}

TEST(Parameters, SimpleNetworksNumberTheirLayersFromOne) {
  const Shapes cnn{{"conv1.weight", {4, 2, 3, 3}}, {"conv1.bias", {4}},
                   {"conv2.weight", {6, 4, 3, 3}}, {"conv2.bias", {6}},
                   {"fc1.weight", {8, 54}},        {"fc1.bias", {8}},
                   {"fc2.weight", {3, 8}},         {"fc2.bias", {3}}};
  EXPECT_EQ(StateOf(*MakeOrDie(CnnCase())), cnn);
  const Shapes mlp{{"fc1.weight", {12, 6}}, {"fc1.bias", {12}},     {"fc2.weight", {8, 12}},
                   {"fc2.bias", {8}},       {"fc3.weight", {3, 8}}, {"fc3.bias", {3}}};
  EXPECT_EQ(StateOf(*MakeOrDie(MlpCase())), mlp);
}

class EveryModel : public testing::TestWithParam<ModelCase> {};
INSTANTIATE_TEST_SUITE_P(Zoo, EveryModel, testing::ValuesIn(SmallCases()),
                         [](const auto& info) { return info.param.name; });

TEST_P(EveryModel, SameSeedGivesTheSameParametersAndAnotherSeedOthers) {
  auto a = MakeOrDie(GetParam(), Precision::kFloat32, 5);
  auto b = MakeOrDie(GetParam(), Precision::kFloat32, 5);
  auto c = MakeOrDie(GetParam(), Precision::kFloat32, 6);
  bool differs = false;
  for (size_t i = 0; i < a->parameters().size(); ++i) {
    EXPECT_TRUE(a->parameters()[i].tensor.equal(b->parameters()[i].tensor));
    differs = differs || !a->parameters()[i].tensor.equal(c->parameters()[i].tensor);
  }
  EXPECT_TRUE(differs);
}

TEST_P(EveryModel, InSinglePrecisionIsTheRoundedDoublePrecision) {
  auto wide = MakeOrDie(GetParam(), Precision::kFloat64);
  auto narrow = MakeOrDie(GetParam(), Precision::kFloat32);
  for (size_t i = 0; i < wide->parameters().size(); ++i) {
    const at::Tensor& w = wide->parameters()[i].tensor;
    EXPECT_EQ(w.scalar_type(), at::kDouble);
    EXPECT_TRUE(w.to(at::kFloat).equal(narrow->parameters()[i].tensor));
  }
  for (const NamedTensor& b : narrow->buffers()) {
    EXPECT_EQ(b.tensor.scalar_type(),
              b.name.ends_with("num_batches_tracked") ? at::kLong : at::kFloat);
  }
}

TEST_P(EveryModel, EveryParameterIsALeafThatWantsAGradient) {
  auto model = MakeOrDie(GetParam());
  for (const NamedTensor& p : model->parameters()) {
    EXPECT_TRUE(p.tensor.requires_grad() && p.tensor.is_leaf()) << p.name;
    EXPECT_TRUE(p.tensor.is_contiguous()) << p.name;
  }
}

TEST(Parameters, LinearAndConvolutionDrawFromTheUniformOfTheirFanIn) {
  ModelSpec spec;  // the default CNN
  auto model = MakeOrDie({"cnn", spec, Images(1, 28, 10)}, Precision::kFloat64);
  const std::map<std::string, double> fan_in{
      {"conv1", 9}, {"conv2", 144}, {"fc1", 1568}, {"fc2", 256}};
  for (const NamedTensor& p : model->parameters()) {
    const double bound = 1.0 / std::sqrt(fan_in.at(p.name.substr(0, p.name.find('.'))));
    EXPECT_LT(p.tensor.abs().max().item<double>(), bound) << p.name;
    if (p.tensor.numel() < 1000) continue;
    const double deviation = p.tensor.detach().square().mean().sqrt().item<double>();
    EXPECT_NEAR(deviation, bound / std::sqrt(3.0), 0.05 * bound) << p.name;
  }
}

TEST(Parameters, GptDrawsResidualProjectionsNarrower) {
  ModelSpec spec;
  spec.kind = ModelKind::kGpt;  // 4 layers, width 128
  auto model = MakeOrDie({"gpt", spec, {{64}, true, 256, 0}});
  for (const NamedTensor& p : model->parameters()) {
    const double deviation = p.tensor.detach().square().mean().sqrt().item<double>();
    if (p.name.ends_with("c_proj.weight")) {
      EXPECT_NEAR(deviation, 0.02 / std::sqrt(8.0), 2e-4) << p.name;
    } else if (p.tensor.dim() == 2) {
      EXPECT_NEAR(deviation, 0.02, 5e-4) << p.name;
    } else {
      EXPECT_EQ(deviation, p.name.ends_with("bias") ? 0.0 : 1.0) << p.name;
    }
  }
}

}  // namespace
}  // namespace longstride
