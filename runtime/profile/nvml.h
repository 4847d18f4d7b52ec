// What NVIDIA's management library says about the GPUs of this machine. It comes with the driver,
// so it is loaded at run time and nothing of it is needed to build; a machine without it has no
// GPUs. Its C interface (docs.nvidia.com/deploy/nvml-api) keeps its binary form across driver
// versions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace longstride {

// A value that the device does not support is absent: utilization under MIG, ECC on consumer cards.
struct GpuDescription {
  std::string name;  // "NVIDIA H100 80GB HBM3"
  int64_t memory_total_bytes = 0;
  int64_t memory_used_bytes = 0;           // by all processes
  std::optional<double> utilization;       // share of the last second in which a kernel ran, 0 to 1
  std::optional<int64_t> ecc_corrected;    // errors since the driver was loaded
  std::optional<int64_t> ecc_uncorrected;  // the same; any of them has cost a process its data
  std::optional<bool> mig;                 // cut into instances; the memory is that of the whole
  // Why the clocks are lower than they could be: "power cap", "thermal", "hardware slowdown",
  // "power brake". An idle GPU or clocks that an administrator has set are no reason.
  std::vector<std::string> throttle_reasons;
};

class Nvml {
 public:
  // Loads and initializes the library. Null where there is none. Errors: kResource when it does not
  // come up (driver not loaded, driver and library of different versions, no permission) or lacks a
  // function.
  [[nodiscard]] static Result<std::unique_ptr<Nvml>> Load(
      const std::string& library = "libnvidia-ml.so.1");
  virtual ~Nvml() = default;

  // Errors: kResource naming the call and what the library says; a GPU that fell off the bus is
  // one.
  [[nodiscard]] virtual Result<int> DeviceCount() const = 0;
  // 0 <= index < DeviceCount(). A few milliseconds.
  [[nodiscard]] virtual Result<GpuDescription> Describe(int index) const = 0;
};

}  // namespace longstride
