#include "runtime/profile/nvml.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mock_nvml.h"

namespace longstride {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class NvmlTest : public testing::Test {
 protected:
  void SetUp() override {
    library_ = dlopen(MOCK_NVML, RTLD_NOW);
    ASSERT_NE(library_, nullptr) << dlerror();
    mock_ = static_cast<MockNvml*>(dlsym(library_, "mock_nvml"));
    ASSERT_NE(mock_, nullptr);
    *mock_ = {};
  }
  void TearDown() override { dlclose(library_); }
  static std::unique_ptr<Nvml> Load() {
    auto nvml = Nvml::Load(MOCK_NVML);
    EXPECT_TRUE(nvml.ok() && *nvml != nullptr);
    return std::move(*nvml);
  }

  void* library_ = nullptr;
  MockNvml* mock_ = nullptr;
};

TEST_F(NvmlTest, AMachineWithoutTheLibraryHasNoGpus) {
  const auto nvml = Nvml::Load("libnvidia-ml-of-nowhere.so.1");
  ASSERT_TRUE(nvml.ok());
  EXPECT_EQ(*nvml, nullptr);
}

TEST_F(NvmlTest, DescribesEachDevice) {
  const auto nvml = Load();
  EXPECT_EQ(*nvml->DeviceCount(), 2);
  const auto gpu = nvml->Describe(1);
  ASSERT_TRUE(gpu.ok()) << gpu.error().message;
  EXPECT_EQ(gpu->name, "Mock GPU 1");
  EXPECT_EQ(gpu->memory_total_bytes, 80);
  EXPECT_EQ(gpu->memory_used_bytes, 3);
  EXPECT_DOUBLE_EQ(*gpu->utilization, 0.4);
  EXPECT_EQ(gpu->ecc_corrected, 7);
  EXPECT_EQ(gpu->ecc_uncorrected, 1);
  EXPECT_EQ(gpu->mig, false);
  EXPECT_THAT(gpu->throttle_reasons, IsEmpty());
}

TEST_F(NvmlTest, NamesWhyClocksAreHeldDownAndNotThatTheGpuIsIdle) {
  const auto nvml = Load();
  mock_->mig = 1;
  mock_->throttle = 0x1 | 0x2 | 0x4 | 0x40;
  const auto gpu = nvml->Describe(0);
  ASSERT_TRUE(gpu.ok());
  EXPECT_THAT(gpu->throttle_reasons, ElementsAre("power cap", "hardware thermal"));
  EXPECT_EQ(gpu->mig, true);
}

TEST_F(NvmlTest, WhatADeviceDoesNotSupportIsAbsent) {
  const auto nvml = Load();
  mock_->extras_code = 3;
  const auto gpu = nvml->Describe(0);
  ASSERT_TRUE(gpu.ok()) << gpu.error().message;
  EXPECT_EQ(gpu->memory_total_bytes, 80);
  EXPECT_FALSE(gpu->utilization || gpu->ecc_corrected || gpu->ecc_uncorrected || gpu->mig);
  EXPECT_THAT(gpu->throttle_reasons, IsEmpty());
}

TEST_F(NvmlTest, ErrorsNameTheCallTheDeviceAndTheReason) {
  const auto nvml = Load();
  mock_->extras_code = 15;
  const auto lost = nvml->Describe(1);
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code, ErrorCode::kResource);
  EXPECT_THAT(lost.error().message,
              HasSubstr("nvmlDeviceGetUtilizationRates of GPU 1: GPU is lost"));
  EXPECT_FALSE(nvml->Describe(7).ok()) << "there is no such GPU";
  mock_->code = 999;
  EXPECT_THAT(nvml->DeviceCount().error().message, HasSubstr("NVML code 999"));
}

TEST_F(NvmlTest, ADriverThatIsNotLoadedIsAnError) {
  mock_->init_code = 9;
  const auto nvml = Nvml::Load(MOCK_NVML);
  ASSERT_FALSE(nvml.ok());
  EXPECT_THAT(nvml.error().message, HasSubstr("Driver Not Loaded"));
}

TEST_F(NvmlTest, ALibraryThatLacksAFunctionIsAnErrorThatNamesIt) {
  const auto nvml = Nvml::Load(MOCK_NVML_OLD);
  ASSERT_FALSE(nvml.ok());
  EXPECT_THAT(nvml.error().message, HasSubstr("nvmlDeviceGetCurrentClocksThrottleReasons"));
}

TEST_F(NvmlTest, TheLibraryIsShutDownWithTheObject) {
  auto nvml = Load();
  EXPECT_EQ(mock_->initialized, 1);
  nvml.reset();
  EXPECT_EQ(mock_->initialized, 0);
}

}  // namespace
}  // namespace longstride
