#include "runtime/device/device.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <dlfcn.h>

#include <charconv>
#include <optional>
#include <string_view>

#include "core/base/format.h"

namespace longstride {
namespace {

constexpr const char* kDriver = "libcuda.so.1";
constexpr const char* kCudaHalf = "libtorch_cuda.so";

// Empty once CUDA devices can be asked for, otherwise why not. What is loaded stays loaded:
// LibTorch keeps pointers into it.
std::string LoadCuda() {
  if (at::hasCUDA()) return "";
  // The driver first: the other is large, and of no use without.
  for (const char* library : {kDriver, kCudaHalf}) {
    if (!dlopen(library, RTLD_NOW | RTLD_GLOBAL)) {
      const char* reason = dlerror();
      return reason ? reason : library;
    }
  }
  return at::hasCUDA() ? "" : Format("%s brought no CUDA device support", kCudaHalf);
}

// The index in "cuda" or "cuda:N"; nullopt for another name.
std::optional<int> CudaIndex(std::string_view name) {
  if (name == "cuda") return 0;
  constexpr std::string_view kPrefix = "cuda:";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  int index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (error != std::errc() || end != name.data() + name.size() || index < 0) return std::nullopt;
  return index;
}

}  // namespace

std::string Device::torch_name() const {
  return is_cpu() ? "" : Format("cuda:%d", index);
}

Result<Device> ChooseDevice(const std::string& wanted) {
  if (wanted == "cpu") return Device{};
  const bool automatic = wanted == "auto";
  const std::optional<int> index = automatic ? 0 : CudaIndex(wanted);
  if (!index) {
    return UserError("device \"" + wanted +
                     "\" is none of auto, cpu, cuda and cuda:N (N counts from 0)");
  }
  std::string missing;
  try {
    missing = LoadCuda();
    const int devices = missing.empty() ? static_cast<int>(at::accelerator::deviceCount()) : 0;
    if (*index < devices) {
      at::accelerator::setDeviceIndex(static_cast<c10::DeviceIndex>(*index));
      return Device{*index};
    }
    if (missing.empty()) missing = Format("%d CUDA devices are visible", devices);
  } catch (const std::exception& e) {
    missing = e.what();
  }
  if (automatic) return Device{};
  return ResourceError("device " + wanted + " is not there: " + missing +
                       "; use --device cpu, or give this worker a GPU, its driver and LibTorch's " +
                       kCudaHalf);
}

int64_t DeviceMemoryBytes(const Device& device) {
  if (device.is_cpu()) return 0;
  return static_cast<int64_t>(
      at::accelerator::getMemoryInfo(static_cast<c10::DeviceIndex>(device.index)).second);
}

int64_t PeakDeviceMemoryBytes(const Device& device) {
  if (device.is_cpu()) return 0;
  using c10::CachingAllocator::StatType;
  return at::accelerator::getDeviceStats(static_cast<c10::DeviceIndex>(device.index))
      .reserved_bytes[static_cast<size_t>(StatType::AGGREGATE)]
      .peak;
}

void ResetPeakDeviceMemory(const Device& device) {
  if (device.is_cpu()) return;
  at::accelerator::emptyCache();
  at::accelerator::resetPeakStats(static_cast<c10::DeviceIndex>(device.index));
}

}  // namespace longstride
