#include "runtime/collective/trimmed_mean.h"

#include <gmock/gmock.h>

#include <limits>

#include "core/base/random.h"
#include "runtime/collective/traffic.h"
#include "tests/runtime/collective/members.h"

namespace longstride {
namespace {

// What member r ends with when it brings inputs[r].
std::vector<std::vector<double>> TrimmedMeans(const std::vector<std::vector<double>>& inputs,
                                              const std::vector<bool>& contributes) {
  const Members members = MakeInProcessCollectives(static_cast<int>(inputs.size()));
  std::vector<std::vector<double>> results = inputs;
  RunMembers(members, [&](Collective& c) {
    ASSERT_TRUE(
        AllReduceTrimmedMean(c, std::span(results[c.rank()]), contributes, Purpose::kModel).ok());
  });
  return results;
}

TEST(TrimmedMean, LeavesOutAQuarterAtEachEnd) {
  EXPECT_EQ(TrimmedAtEachEnd(1), 0);
  EXPECT_EQ(TrimmedAtEachEnd(2), 0);
  EXPECT_EQ(TrimmedAtEachEnd(3), 1);
  EXPECT_EQ(TrimmedAtEachEnd(4), 1);
  EXPECT_EQ(TrimmedAtEachEnd(7), 1);
  EXPECT_EQ(TrimmedAtEachEnd(8), 2);
}

TEST(TrimmedMean, IsTakenElementByElement) {
  const auto results =
      TrimmedMeans({{1, 100, 7}, {2, 1, 7}, {3, 2, 7}, {100, 3, 7}}, {true, true, true, true});
  for (const auto& result : results) EXPECT_THAT(result, ::testing::ElementsAre(2.5, 2.5, 7));
}

TEST(TrimmedMean, WhatIsNotANumberIsLeftOutAsTheLargest) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto results =
      TrimmedMeans({{nan, nan}, {1, nan}, {2, nan}, {3, nan}}, {true, true, true, true});
  for (const auto& result : results)
    EXPECT_THAT(result, ::testing::ElementsAre(2.5, ::testing::NanSensitiveDoubleEq(nan)));
}

TEST(TrimmedMean, OneAbnormalMemberCannotLeaveTheRangeOfTheOthers) {
  constexpr uint64_t kSeed = 5;
  SeededRandom random(kSeed);
  for (const size_t members : {4, 5, 9}) {
    std::vector<std::vector<double>> inputs(members, std::vector<double>(37));
    for (auto& input : inputs) {
      for (double& x : input) x = random.NextNormal();
    }
    for (double& x : inputs[1]) x *= 1e9;
    const auto results = TrimmedMeans(inputs, std::vector<bool>(members, true));
    for (size_t i = 0; i < 37; ++i) {
      double low = 1e300, high = -1e300;
      for (size_t r = 0; r < members; ++r) {
        if (r == 1) continue;
        low = std::min(low, inputs[r][i]);
        high = std::max(high, inputs[r][i]);
      }
      EXPECT_GE(results[0][i], low) << "seed " << kSeed;
      EXPECT_LE(results[0][i], high) << "seed " << kSeed;
    }
    for (const auto& result : results) EXPECT_EQ(result, results[0]) << "the same bits everywhere";
  }
}

TEST(TrimmedMean, IsOverThoseWhoContribute) {
  const auto results = TrimmedMeans({{1}, {1e9}, {3}, {5}}, {true, false, true, true});
  for (const auto& result : results) EXPECT_EQ(result[0], 3);
  const auto two = TrimmedMeans({{1}, {1e9}, {3}, {5}}, {true, false, true, false});
  EXPECT_EQ(two[1][0], 2) << "of two, nothing can be left out";
  EXPECT_EQ(TrimmedMeans({{1}, {2}}, {false, false})[1][0], 2);
}

TEST(TrimmedMean, SendsWhatARingWouldSend) {
  const Members members = MakeInProcessCollectives(4);
  RunMembers(members, [&](Collective& c) {
    std::vector<float> data(4096, 1.0f);
    ASSERT_TRUE(
        AllReduceTrimmedMean(c, std::span(data), {true, true, true, true}, Purpose::kModel).ok());
    EXPECT_EQ(c.traffic().TotalSent(), AllReduceBytes(4096 * 4, 4).sent);
  });
}

}  // namespace
}  // namespace longstride
