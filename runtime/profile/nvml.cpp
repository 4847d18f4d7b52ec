#include "runtime/profile/nvml.h"

#include <dlfcn.h>

#include "core/base/format.h"

namespace longstride {
namespace {

// The part of the library's interface that is used, as it documents it.
using Return = int;  // nvmlReturn_t
constexpr Return kSuccess = 0;
constexpr Return kNotSupported = 3;
using Device = struct nvmlDevice_st*;  // nvmlDevice_t
struct Memory {                        // nvmlMemory_t
  unsigned long long total, free, used;
};
struct Utilization {  // nvmlUtilization_t, percent
  unsigned gpu, memory;
};
enum EccKind { kCorrected = 0, kUncorrected = 1 };  // nvmlMemoryErrorType_t
constexpr int kSinceDriverLoad = 0;                 // NVML_VOLATILE_ECC
constexpr unsigned kNameBytes = 96;                 // NVML_DEVICE_NAME_V2_BUFFER_SIZE

struct ThrottleReason {  // nvmlClocksThrottleReason...
  unsigned long long bit;
  const char* name;
};
constexpr ThrottleReason kThrottleReasons[] = {{0x04, "power cap"},   {0x08, "hardware slowdown"},
                                               {0x20, "thermal"},     {0x40, "hardware thermal"},
                                               {0x80, "power brake"}, {0x10, "sync boost"}};

struct Functions {
  Return (*init)();
  Return (*shutdown)();
  const char* (*error_string)(Return);
  Return (*count)(unsigned*);
  Return (*handle)(unsigned, Device*);
  Return (*name)(Device, char*, unsigned);
  Return (*memory)(Device, Memory*);
  Return (*utilization)(Device, Utilization*);
  Return (*ecc_errors)(Device, int kind, int counter, unsigned long long*);
  Return (*mig_mode)(Device, unsigned* current, unsigned* pending);
  Return (*throttle_reasons)(Device, unsigned long long*);
};

class LoadedNvml final : public Nvml {
 public:
  explicit LoadedNvml(void* library) : library_(library) {}
  ~LoadedNvml() override {
    if (initialized_) f_.shutdown();
    dlclose(library_);
  }

  Status Initialize() {
    std::string missing;
    const auto find = [&](auto& function, const char* symbol) {
      function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library_, symbol));
      if (!function && missing.empty()) missing = symbol;
    };
    find(f_.init, "nvmlInit_v2");
    find(f_.shutdown, "nvmlShutdown");
    find(f_.error_string, "nvmlErrorString");
    find(f_.count, "nvmlDeviceGetCount_v2");
    find(f_.handle, "nvmlDeviceGetHandleByIndex_v2");
    find(f_.name, "nvmlDeviceGetName");
    find(f_.memory, "nvmlDeviceGetMemoryInfo");
    find(f_.utilization, "nvmlDeviceGetUtilizationRates");
    find(f_.ecc_errors, "nvmlDeviceGetTotalEccErrors");
    find(f_.mig_mode, "nvmlDeviceGetMigMode");
    find(f_.throttle_reasons, "nvmlDeviceGetCurrentClocksThrottleReasons");
    if (!missing.empty())
      return ResourceError("NVML has no function " + missing + ": update the NVIDIA driver");
    LONGSTRIDE_RETURN_IF_ERROR(Check(f_.init(), "nvmlInit_v2"));
    initialized_ = true;
    return {};
  }

  Result<int> DeviceCount() const override {
    unsigned count = 0;
    LONGSTRIDE_RETURN_IF_ERROR(Check(f_.count(&count), "nvmlDeviceGetCount_v2"));
    return static_cast<int>(count);
  }

  Result<GpuDescription> Describe(int index) const override {
    Device device = nullptr;
    LONGSTRIDE_RETURN_IF_ERROR(Check(f_.handle(static_cast<unsigned>(index), &device),
                                     "nvmlDeviceGetHandleByIndex_v2", index));
    GpuDescription gpu;
    char name[kNameBytes] = {};
    LONGSTRIDE_RETURN_IF_ERROR(
        Check(f_.name(device, name, kNameBytes), "nvmlDeviceGetName", index));
    gpu.name = name;
    Memory memory{};
    LONGSTRIDE_RETURN_IF_ERROR(Check(f_.memory(device, &memory), "nvmlDeviceGetMemoryInfo", index));
    gpu.memory_total_bytes = static_cast<int64_t>(memory.total);
    gpu.memory_used_bytes = static_cast<int64_t>(memory.used);

    Utilization utilization{};
    LONGSTRIDE_ASSIGN_OR_RETURN(bool known, Supported(f_.utilization(device, &utilization),
                                                      "nvmlDeviceGetUtilizationRates", index));
    if (known) gpu.utilization = utilization.gpu / 100.0;
    LONGSTRIDE_ASSIGN_OR_RETURN(gpu.ecc_corrected, EccErrors(device, kCorrected, index));
    LONGSTRIDE_ASSIGN_OR_RETURN(gpu.ecc_uncorrected, EccErrors(device, kUncorrected, index));
    unsigned mig = 0, pending = 0;
    LONGSTRIDE_ASSIGN_OR_RETURN(
        known, Supported(f_.mig_mode(device, &mig, &pending), "nvmlDeviceGetMigMode", index));
    if (known) gpu.mig = mig == 1;
    unsigned long long reasons = 0;
    LONGSTRIDE_ASSIGN_OR_RETURN(known,
                                Supported(f_.throttle_reasons(device, &reasons),
                                          "nvmlDeviceGetCurrentClocksThrottleReasons", index));
    for (const ThrottleReason& reason : kThrottleReasons) {
      if (known && (reasons & reason.bit) != 0) gpu.throttle_reasons.emplace_back(reason.name);
    }
    return gpu;
  }

 private:
  Status Check(Return code, const char* function, int index = -1) const {
    if (code == kSuccess) return {};
    const char* text = f_.error_string(code);
    return ResourceError(Format("%s%s: %s (NVML code %d)", function,
                                index < 0 ? "" : Format(" of GPU %d", index).c_str(),
                                text ? text : "unknown", code));
  }
  // False where the device has no such thing.
  Result<bool> Supported(Return code, const char* function, int index) const {
    if (code == kNotSupported) return false;
    LONGSTRIDE_RETURN_IF_ERROR(Check(code, function, index));
    return true;
  }
  Result<std::optional<int64_t>> EccErrors(Device device, EccKind kind, int index) const {
    unsigned long long errors = 0;
    LONGSTRIDE_ASSIGN_OR_RETURN(const bool known,
                                Supported(f_.ecc_errors(device, kind, kSinceDriverLoad, &errors),
                                          "nvmlDeviceGetTotalEccErrors", index));
    return known ? std::optional(static_cast<int64_t>(errors)) : std::nullopt;
  }

  void* library_;
  Functions f_{};
  bool initialized_ = false;
};

}  // namespace

Result<std::unique_ptr<Nvml>> Nvml::Load(const std::string& library) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) return std::unique_ptr<Nvml>();
  auto nvml = std::make_unique<LoadedNvml>(handle);
  LONGSTRIDE_RETURN_IF_ERROR(nvml->Initialize());
  return std::unique_ptr<Nvml>(std::move(nvml));
}

}  // namespace longstride
