#include "core/protocol/backend.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

WorkerProfile On(const std::string& device, const std::string& version,
                 const std::string& id = "") {
  WorkerProfile profile;
  profile.device = device;
  profile.device_version = version;
  profile.device_id = id;
  return profile;
}

TEST(ChooseBackend, IsNcclIfAndOnlyIfAllHaveCudaWithTheSameKnownVersion) {
  EXPECT_EQ(ChooseBackend({On("cuda", "2.28", "a"), On("cuda", "2.28", "b")}), "nccl");
  EXPECT_EQ(ChooseBackend({On("cuda", "2.28", "a"), On("cuda", "2.27", "b")}), "gloo");
  EXPECT_EQ(ChooseBackend({On("cuda", "2.28", "a"), On("cpu", "")}), "gloo");
  EXPECT_EQ(ChooseBackend({On("cuda", "", "a"), On("cuda", "", "b")}), "gloo");
  EXPECT_EQ(ChooseBackend({On("cpu", "")}), "gloo");
  EXPECT_EQ(ChooseBackend({}), "gloo");
}

TEST(ChooseBackend, IsGlooForMembersThatShareADevice) {
  EXPECT_EQ(ChooseBackend({On("cuda", "2.28", "a"), On("cuda", "2.28", "a")}), "gloo");
}

}  // namespace
}  // namespace longstride
