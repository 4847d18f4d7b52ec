#include "runtime/collective/backend_choice.h"

#include <gtest/gtest.h>

#include <vector>

namespace longstride {
namespace {

using Devices = std::vector<MemberDevice>;

TEST(ChooseBackend, NcclNeedsEveryMemberOnCudaWithTheSameVersion) {
  const MemberDevice cpu{false, ""}, gpu{true, "cuda 13.2"}, other{true, "cuda 12.8"};
  const MemberDevice unknown{true, ""};
  EXPECT_EQ(ChooseBackend(Devices{gpu, gpu, gpu}), CollectiveBackend::kNccl);
  EXPECT_EQ(ChooseBackend(Devices{gpu}), CollectiveBackend::kNccl);
  EXPECT_EQ(ChooseBackend(Devices{gpu, cpu}), CollectiveBackend::kGloo);
  EXPECT_EQ(ChooseBackend(Devices{cpu, gpu}), CollectiveBackend::kGloo);
  EXPECT_EQ(ChooseBackend(Devices{gpu, other}), CollectiveBackend::kGloo);
  EXPECT_EQ(ChooseBackend(Devices{unknown, unknown}), CollectiveBackend::kGloo);
  EXPECT_EQ(ChooseBackend(Devices{cpu, cpu}), CollectiveBackend::kGloo);
  EXPECT_EQ(ChooseBackend(Devices{}), CollectiveBackend::kGloo);
}

}  // namespace
}  // namespace longstride
