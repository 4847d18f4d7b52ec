// The gradient of step 0, summed over micro-batches.
#include "runtime/training/step_zero.h"

#include <gmock/gmock.h>

namespace longstride::testing {
namespace {

using Segments = std::vector<GradientSegment<double>>;
using ::testing::ElementsAre;

// A model whose forward pass branches on the data reaches other parameters with each micro-batch.
TEST(StepZero, HasAllParametersThatAnyMicroBatchReachesInOrder) {
  StepZero<double> step({.observe = true}, 32, 8);
  const std::vector<double> gradient = {1, 2};
  const auto at = [&](int64_t offset) { return GradientSegment<double>{offset, gradient}; };
  for (int64_t round = 1; round <= 2; ++round) {
    step.Begin(round);
    step.Observe(Segments{at(8)}, 1, 0.25);
    step.Observe(Segments{at(0), at(8), at(24)}, 1, 0.25);
    step.Observe(Segments{at(16)}, 1, 0.25);
    step.Observe(Segments{at(16), at(24)}, 1, 0.25);
    step.Finish();
    std::vector<int64_t> offsets;
    std::vector<double> firsts;
    for (const auto& segment : step.segments()) {
      offsets.push_back(segment.offset);
      firsts.push_back(segment.gradient[0]);
      EXPECT_EQ(segment.gradient.size(), 2u);
    }
    EXPECT_THAT(offsets, ElementsAre(0, 8, 16, 24));
    EXPECT_THAT(firsts, ElementsAre(1, 2, 2, 2));
  }
}

}  // namespace
}  // namespace longstride::testing
