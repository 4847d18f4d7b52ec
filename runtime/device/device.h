// Where a worker computes: the CPU, or a CUDA device through LibTorch's CUDA half, which is loaded
// at run time where it and a driver are there. So one program serves both kinds of machine.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/result.h"

namespace longstride {

struct Device {
  int index = -1;  // of the CUDA device; -1 = the CPU

  [[nodiscard]] bool is_cpu() const { return index < 0; }
  // As LibTorch names it, and FlatState takes it: "" = the CPU, "cuda:0".
  [[nodiscard]] std::string torch_name() const;
};

// `wanted`: "cpu", "cuda" (the first one), "cuda:1", or "auto": the first CUDA device, or the CPU
// where there is none. Loads LibTorch's CUDA half for all but "cpu"; call it before there are other
// threads. Errors: kUser for another name, kResource when the device that was asked for is not
// there, with the reason.
[[nodiscard]] Result<Device> ChooseDevice(const std::string& wanted);

// Memory of a CUDA device in bytes: all of it, and the most that this process held since the last
// reset. 0 for the CPU.
[[nodiscard]] int64_t DeviceMemoryBytes(const Device& device);
[[nodiscard]] int64_t PeakDeviceMemoryBytes(const Device& device);
void ResetPeakDeviceMemory(const Device& device);

}  // namespace longstride
