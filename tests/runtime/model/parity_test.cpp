// The built-in networks compute what the same networks written in Python torch compute: outputs,
// loss, gradients and moved statistics, in double precision (golden.json, made by
// make_fixtures.py).
#include <fstream>
#include <nlohmann/json.hpp>

#include "model_testing.h"

namespace longstride {
namespace {

class Parity : public testing::TestWithParam<ModelCase> {};
INSTANTIATE_TEST_SUITE_P(PythonTorch, Parity,
                         testing::Values(CnnCase(), GptCase(),
                                         ResnetCase(ResnetStyle::kImagenet, 18, 32),
                                         ResnetCase(ResnetStyle::kImagenet, 50, 64)),
                         [](const auto& info) { return info.param.name; });

void Fill(Model& model) {
  const at::NoGradGuard no_grad;
  for (size_t k = 0; k < model.parameters().size(); ++k) {
    NamedTensor& p = model.parameters()[k];
    const bool norm = p.name.ends_with("weight") && p.tensor.dim() == 1;
    p.tensor.copy_(Ramp(p.tensor.sizes(), static_cast<int64_t>(k), 0.2).add(norm ? 1.0 : 0.0));
  }
}

TEST_P(Parity, OutputsLossGradientsAndStatisticsAreThoseOfPythonTorch) {
  std::ifstream file(LONGSTRIDE_SOURCE_DIR "/tests/runtime/model/fixtures/golden.json");
  const auto golden = nlohmann::json::parse(file).at(GetParam().name);
  auto model = MakeOrDie(GetParam(), Precision::kFloat64);
  Fill(*model);
  const TensorBatch batch = MakeBatch(GetParam().shape, 4, at::kDouble);
  EXPECT_NEAR(Backward(*model, batch), golden.at("loss").get<double>(), 1e-9);
  for (const NamedTensor& p : model->parameters()) {
    if (!golden.at("gradients").contains(p.name)) continue;
    const double expected = golden.at("gradients").at(p.name).get<double>();
    EXPECT_NEAR(p.tensor.grad().norm().item<double>(), expected, 1e-8 * (1 + expected)) << p.name;
  }
  for (const NamedTensor& b : model->buffers()) {
    const double expected = golden.at("buffers").at(b.name).get<double>();
    EXPECT_NEAR(b.tensor.to(at::kDouble).norm().item<double>(), expected, 1e-9 * (1 + expected))
        << b.name;
  }
  const at::Tensor outputs = model->Forward(batch.features).flatten();
  for (size_t i = 0; i < golden.at("outputs").size(); ++i) {
    EXPECT_NEAR(outputs[static_cast<int64_t>(i)].item<double>(),
                golden.at("outputs")[i].get<double>(), 1e-9);
  }
}

}  // namespace
}  // namespace longstride
