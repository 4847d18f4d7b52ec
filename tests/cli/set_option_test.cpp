#include "cli/set_option.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace longstride {
namespace {

using testing::ElementsAre;

TEST(SetOption, MayStandBeforeTheManifestAndBeRepeated) {
  CLI::App command;
  std::string manifest;
  std::vector<std::string> sets;
  command.add_option("FILE", manifest)->required();
  AddSetOption(command, sets);
  ASSERT_NO_THROW(command.parse("--set replicas=6 job.yaml --set seed=2"));
  EXPECT_EQ(manifest, "job.yaml");
  EXPECT_THAT(sets, ElementsAre("replicas=6", "seed=2"));
}

TEST(SetOption, WithoutAValueIsAUserError) {
  EXPECT_EQ(ParseOverrides({"replicas=6", "seed"}).error().code, ErrorCode::kUser);
  EXPECT_EQ(ParseOverrides({"replicas=6"})->front().path, "replicas");
}

}  // namespace
}  // namespace longstride
