#include "runtime/device/device.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

TEST(ChooseDevice, TakesTheCpuWhenAsked) {
  const Result<Device> device = ChooseDevice("cpu");
  ASSERT_TRUE(device.ok());
  EXPECT_TRUE(device->is_cpu());
  EXPECT_EQ(device->torch_name(), "");
  EXPECT_EQ(DeviceMemoryBytes(*device), 0);
}

TEST(ChooseDevice, FindsSomethingOnItsOwn) {
  const Result<Device> device = ChooseDevice("auto");
  ASSERT_TRUE(device.ok()) << device.error().message;
  EXPECT_TRUE(device->is_cpu() || DeviceMemoryBytes(*device) > 0);
}

TEST(ChooseDevice, RefusesAnUnknownName) {
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1 "}) {
    const Result<Device> device = ChooseDevice(name);
    ASSERT_FALSE(device.ok()) << name;
    EXPECT_EQ(device.error().code, ErrorCode::kUser) << name;
  }
}

TEST(ChooseDevice, SaysWhyADeviceIsNotThere) {
  const Result<Device> device = ChooseDevice("cuda:4095");
  ASSERT_FALSE(device.ok());
  EXPECT_EQ(device.error().code, ErrorCode::kResource);
  EXPECT_NE(device.error().message.find("--device cpu"), std::string::npos)
      << device.error().message;
}

}  // namespace
}  // namespace longstride
