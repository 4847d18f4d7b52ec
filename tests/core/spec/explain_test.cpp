#include "core/spec/explain.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>

#include "core/spec/fields.h"
#include "tests/core/spec/spec_testing.h"

namespace longstride {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Explain, ShowsTypeDefaultBoundsConditionAndMeaning) {
  const Result<std::string> text = Explain("training.localSteps.steps");
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text,
            "FIELD        spec.training.localSteps.steps\n"
            "TYPE         integer\n"
            "DEFAULT      16\n"
            "UNIT         local steps\n"
            "BOUNDS       1 to 65536\n"
            "APPLIES      when spec.training.localSteps.policy is constant, postLocal or qsr\n"
            "\n"
            "  H of constant; H after the switch of postLocal; smallest H of qsr.\n");
}

TEST(Explain, ListsTheFieldsOfAnObject) {
  EXPECT_THAT(*Explain("spec.model"), AllOf(HasSubstr("name"), HasSubstr("<mlp | cnn | resnet"),
                                            HasSubstr("torchscript"), HasSubstr("<object>")));
  EXPECT_THAT(*Explain(""), AllOf(HasSubstr("apiVersion"), HasSubstr("spec")));
  EXPECT_THAT(*Explain("workers"), HasSubstr("minReplicas"));
}

TEST(Explain, TakesPathsAsPeopleTypeThem) {
  EXPECT_EQ(*Explain("workers.name"), *Explain("spec.workers[].name"));
  EXPECT_EQ(*Explain("workers[2].name"), *Explain("spec.workers[].name"));
}

TEST(Explain, HintsAtTheNearestField) {
  EXPECT_THAT(Explain("training.localStep.steps").error().message,
              HasSubstr("did you mean training.localSteps.steps?"));
  EXPECT_THAT(Explain("momentum").error().message,
              HasSubstr("did you mean spec.training.optimizer.momentum?"));
  EXPECT_FALSE(Explain("utterly.unknown").ok());
}

TEST(Explain, KnowsEveryField) {
  for (const Field& field : AllFields()) {
    const Result<std::string> text = Explain(field.path);
    ASSERT_TRUE(text.ok()) << field.path;
    EXPECT_THAT(*text, HasSubstr(field.description));
    EXPECT_FALSE(field.description.empty()) << field.path;
  }
}

TEST(ManifestDocs, AreCommittedAsGenerated) {
  const std::string path = LONGSTRIDE_SOURCE_DIR "/docs/manifest.md";
  if (std::getenv("LONGSTRIDE_UPDATE_DOCS")) std::ofstream(path, std::ios::binary) << ManifestDocs();
  EXPECT_EQ(ReadTextFile(path), ManifestDocs())
      << "docs/manifest.md is stale; renew it with LONGSTRIDE_UPDATE_DOCS=1 ctest -R ManifestDocs";
}

}  // namespace
}  // namespace longstride
