#include "runtime/collective/codec.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/random.h"
#include "runtime/collective/traffic.h"
#include "tests/runtime/collective/members.h"

namespace longstride {
namespace {

float RoundTrip(float value) {
  uint16_t code = 0;
  EncodeBfloat16({&value, 1}, {&code, 1});
  float back = 0;
  DecodeBfloat16({&code, 1}, {&back, 1});
  return back;
}

TEST(Bfloat16, KeepsWhatItCanRepresent) {
  for (const float v : {0.0f, -0.0f, 1.0f, -2.5f, 0x1.fep+127f, 0x1p-126f, 0x1p-133f,
                        std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(RoundTrip(v), v);
    EXPECT_EQ(std::signbit(RoundTrip(v)), std::signbit(v));
  }
}

TEST(Bfloat16, RoundsToNearestAndTiesToEven) {
  EXPECT_EQ(RoundTrip(0x1.01p0f), 0x1.00p0f);  // half way between 1.00 and 1.02: even is below
  EXPECT_EQ(RoundTrip(0x1.03p0f), 0x1.04p0f);  // half way between 1.02 and 1.04: even is above
  EXPECT_EQ(RoundTrip(0x1.010002p0f), 0x1.02p0f);
  EXPECT_EQ(RoundTrip(0x1.00fffep0f), 0x1.00p0f);
  EXPECT_EQ(RoundTrip(std::numeric_limits<float>::max()), std::numeric_limits<float>::infinity());
}

TEST(Bfloat16, KeepsNanWhateverItsPayload) {
  for (const uint32_t bits : {0x7f800001u, 0x7fffffffu, 0xffffffffu, 0x7fc00000u}) {
    EXPECT_TRUE(std::isnan(RoundTrip(std::bit_cast<float>(bits)))) << bits;
  }
}

class Bfloat16AllReduce : public testing::TestWithParam<int> {};

TEST_P(Bfloat16AllReduce, GivesTheSumToBfloat16AccuracyWithTheSameBitsEverywhere) {
  const int size = GetParam();
  constexpr uint64_t kSeed = 11;
  for (const size_t count : {1, 2, 5, 1000, 4099}) {
    const Members members = MakeInProcessCollectives(size);
    std::vector<std::vector<float>> inputs(size), sums(size);
    for (int r = 0; r < size; ++r) {
      SeededRandom random(kSeed + r);
      for (size_t i = 0; i < count; ++i)
        inputs[r].push_back(static_cast<float>(random.NextNormal()));
    }
    RunMembers(members, [&](Collective& c) {
      sums[c.rank()] = inputs[c.rank()];
      ASSERT_TRUE(AllReduceSumBfloat16(c, sums[c.rank()], Purpose::kModel).ok());
    });
    for (size_t i = 0; i < count; ++i) {
      double exact = 0, magnitude = 0;
      for (const auto& input : inputs) {
        exact += input[i];
        magnitude += std::abs(input[i]);
      }
      ASSERT_NEAR(sums[0][i], exact, magnitude * 2 * 0x1p-8) << "seed " << kSeed;
    }
    for (const auto& sum : sums) {
      EXPECT_EQ(std::memcmp(sum.data(), sums[0].data(), count * sizeof(float)), 0) << count;
    }
  }
}

TEST_P(Bfloat16AllReduce, SendsHalfTheBytesOfFp32) {
  const int size = GetParam();
  const Members members = MakeInProcessCollectives(size);
  const size_t count = 1000 * size;
  RunMembers(members, [&](Collective& c) {
    std::vector<float> data(count);
    ASSERT_TRUE(AllReduceSumBfloat16(c, data, Purpose::kModel).ok());
    EXPECT_EQ(2 * c.traffic().sent[static_cast<int>(Purpose::kModel)],
              AllReduceBytes(count * sizeof(float), size).sent);
  });
}

INSTANTIATE_TEST_SUITE_P(, Bfloat16AllReduce, testing::Values(1, 2, 3, 4, 7),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace longstride
