#include "core/protocol/backend.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

WorkerProfile On(const std::string& device, const std::string& version) {
  WorkerProfile profile;
  profile.device = device;
  profile.device_version = version;
  return profile;
}

TEST(ChooseBackend, IsNcclIfAndOnlyIfAllHaveCudaWithTheSameKnownVersion) {
  EXPECT_EQ(ChooseBackend({On("cuda", "2.28"), On("cuda", "2.28")}), "nccl");
  EXPECT_EQ(ChooseBackend({On("cuda", "2.28"), On("cuda", "2.27")}), "gloo");
  EXPECT_EQ(ChooseBackend({On("cuda", "2.28"), On("cpu", "")}), "gloo");
  EXPECT_EQ(ChooseBackend({On("cuda", ""), On("cuda", "")}), "gloo");
  EXPECT_EQ(ChooseBackend({On("cpu", "")}), "gloo");
  EXPECT_EQ(ChooseBackend({}), "gloo");
}

}  // namespace
}  // namespace longstride
