#include "core/spec/nearest.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

TEST(Nearest, CountsEditsAndSwaps) {
  EXPECT_EQ(EditDistance("policy", "policy"), 0);
  EXPECT_EQ(EditDistance("polcy", "policy"), 1);
  EXPECT_EQ(EditDistance("ploicy", "policy"), 1);
  EXPECT_EQ(EditDistance("", "abc"), 3);
}

TEST(Nearest, IgnoresCaseAndSeparators) { EXPECT_EQ(EditDistance("max_epochs", "maxEpochs"), 0); }

TEST(Nearest, FindsTheNearestNearEnough) {
  const std::vector<std::string> names{"steps", "maxSteps", "policy"};
  EXPECT_EQ(Nearest("step", names), "steps");
  EXPECT_EQ(Nearest("maxStep", names), "maxSteps");
  EXPECT_EQ(Nearest("banana", names), std::nullopt);
  EXPECT_EQ(Nearest("", names), std::nullopt);
  EXPECT_EQ(Nearest(std::string(100000, 'x'), names), std::nullopt);
}

}  // namespace
}  // namespace longstride
