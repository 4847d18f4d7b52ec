#include "tests/runtime/collective/members.h"

namespace longstride {
namespace {

INSTANTIATE_TEST_SUITE_P(, CollectiveContract,
                         testing::Values(ContractCase{"InProcess", MakeInProcessCollectives, 1},
                                         ContractCase{"InProcess", MakeInProcessCollectives, 2},
                                         ContractCase{"InProcess", MakeInProcessCollectives, 3},
                                         ContractCase{"InProcess", MakeInProcessCollectives, 5}),
                         ContractName);

TEST(InProcessCollectives, SumInRankOrder) {
  const Members members = MakeInProcessCollectives(3);
  RunMembers(members, [](Collective& c) {
    const float values[] = {1e8f, 1.0f, -1e8f};
    std::vector<float> data = {values[c.rank()]};
    ASSERT_TRUE(c.AllReduceSum(std::span<float>(data), Purpose::kModel).ok());
    EXPECT_EQ(data[0], (1e8f + 1.0f) - 1e8f);
  });
}

TEST(InProcessCollectives, NameMembersThatCallDifferentOperations) {
  const Members members = MakeInProcessCollectives(2);
  RunMembers(members, [](Collective& c) {
    std::vector<float> data(c.rank() == 0 ? 3 : 4);
    const Status status = c.AllReduceSum(std::span<float>(data), Purpose::kModel);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kBug);
    EXPECT_NE(status.error().message.find("12 bytes"), std::string::npos);
    EXPECT_NE(status.error().message.find("16 bytes"), std::string::npos);
  });
}

}  // namespace
}  // namespace longstride
