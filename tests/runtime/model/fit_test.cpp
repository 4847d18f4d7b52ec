// A model that does not fit the data is the user's to mend, and the message names the field.
#include <gmock/gmock.h>

#include "model_testing.h"

namespace longstride {
namespace {

struct Misfit {
  std::string name;
  ModelCase model;
  std::string message;  // that the error contains
};

void PrintTo(const Misfit& m, std::ostream* out) {
  *out << m.name;
}

ModelCase With(ModelCase c, DataShape shape) {
  c.shape = std::move(shape);
  return c;
}

std::vector<Misfit> Misfits() {
  const DataShape tokens{{16}, true, 50, 0};
  const DataShape flat{{32}, false, 10, 0};
  ModelCase deep = CnnCase();
  deep.spec.cnn.channels = {4, 4, 4, 4};
  ModelCase heads = GptCase();
  heads.spec.gpt.heads = 3;
  return {
      {"mlp_over_tokens", With(MlpCase(), tokens), "model.mlp: the data are tokens"},
      {"cnn_over_tokens", With(CnnCase(), tokens), "model.cnn: needs images"},
      {"cnn_over_flat_features", With(CnnCase(), flat), "model.cnn: needs images"},
      {"cnn_pools_images_away", deep, "model.cnn.channels: 4 entries"},
      {"resnet_over_flat_features", With(ResnetCase(ResnetStyle::kCifar, 20, 32), flat),
       "model.resnet: needs images"},
      {"cifar_depth", ResnetCase(ResnetStyle::kCifar, 18, 32),
       "model.resnet.depth: 18 is not 6n+2"},
      {"imagenet_depth", ResnetCase(ResnetStyle::kImagenet, 20, 32),
       "model.resnet.depth: 20 is not 18 or 50"},
      {"gpt_over_images", With(GptCase(), Images(1, 28, 10)), "model.gpt: needs tokens"},
      {"gpt_heads", heads, "model.gpt.width: 8 is not a multiple"},
      {"nothing_to_predict", With(MlpCase(), {{32}, false, 0, 0}), "nothing to predict"},
  };
}

class DoesNotFit : public testing::TestWithParam<Misfit> {};
INSTANTIATE_TEST_SUITE_P(Data, DoesNotFit, testing::ValuesIn(Misfits()),
                         [](const auto& info) { return info.param.name; });

TEST_P(DoesNotFit, IsAUserErrorThatNamesTheField) {
  const ModelCase& c = GetParam().model;
  const auto made = MakeModel(c.spec, c.shape, Precision::kFloat32, 1);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kUser);
  EXPECT_THAT(made.error().message, testing::HasSubstr(GetParam().message));
}

}  // namespace
}  // namespace longstride
