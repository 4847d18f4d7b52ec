// What of the NCCL backend can be checked without a GPU; that it links is the main thing.
#include "runtime/collective/nccl.h"

#include "tests/runtime/collective/gloo_members.h"

namespace longstride {
namespace {

TEST(NcclCollective, ADeviceThatIsNotThereIsAMissingResource) {
  const ScratchFolder folder;
  const auto made = MakeNcclCollective({.rank = 0, .size = 2, .device = 1000},
                                       std::make_shared<FileStore>(folder.path()));
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kResource);
  EXPECT_NE(made.error().message.find("device 1000"), std::string::npos) << made.error().message;
}

}  // namespace
}  // namespace longstride
