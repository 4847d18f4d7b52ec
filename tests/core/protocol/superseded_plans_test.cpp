#include "core/protocol/superseded_plans.h"

#include <gmock/gmock.h>

namespace longstride {
namespace {

using ::testing::ElementsAre;

std::vector<int64_t> VersionsAfter(std::vector<Plan> plans, int64_t version) {
  DropSuperseded(plans, version);
  std::vector<int64_t> versions;
  for (const Plan& plan : plans) versions.push_back(plan.version);
  return versions;
}

TEST(SupersededPlans, AreThoseBelowTheOneThatGoverned) {
  const std::vector<Plan> plans = {{1, 0, {}, 0}, {2, 5, {}, 0}, {3, 5, {}, 0}, {4, 9, {}, 0}};
  EXPECT_THAT(VersionsAfter(plans, 1), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(VersionsAfter(plans, 3), ElementsAre(3, 4));
  EXPECT_THAT(VersionsAfter(plans, 4), ElementsAre(4));
}

TEST(SupersededPlans, AreNotThoseThatAreDueLater) {
  EXPECT_THAT(VersionsAfter({{1, 20, {}, 0}, {2, 5, {}, 0}}, 2), ElementsAre(1, 2));
}

TEST(SupersededPlans, AreNoneWhenTheRoundWasBegunUnderAPlanOfOtherMembers) {
  EXPECT_THAT(VersionsAfter({{4, 9, {}, 0}, {5, 12, {}, 0}}, 3), ElementsAre(4, 5));
}

}  // namespace
}  // namespace longstride
