#include "mock_nvml.h"

#include <cstdio>

// The signatures are NVML's, written down anew from its documentation.
extern "C" {

MockNvml mock_nvml;

struct nvmlMemory {
  unsigned long long total, free, used;
};
struct nvmlUtilization {
  unsigned gpu, memory;
};

int nvmlInit_v2() {
  if (mock_nvml.init_code == 0) ++mock_nvml.initialized;
  return mock_nvml.init_code;
}
int nvmlShutdown() {
  --mock_nvml.initialized;
  return 0;
}
const char* nvmlErrorString(int code) {
  return code == 15 ? "GPU is lost" : code == 9 ? "Driver Not Loaded" : nullptr;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = mock_nvml.count;
  return mock_nvml.code;
}
// A device's handle points to its index.
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  static unsigned indices[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  if (index >= mock_nvml.count) return 2;  // invalid argument
  *device = &indices[index];
  return mock_nvml.code;
}
int nvmlDeviceGetName(void* device, char* name, unsigned length) {
  std::snprintf(name, length, "Mock GPU %u", *static_cast<unsigned*>(device));
  return mock_nvml.code;
}
int nvmlDeviceGetMemoryInfo(void*, nvmlMemory* memory) {
  *memory = {mock_nvml.total, mock_nvml.total - mock_nvml.used, mock_nvml.used};
  return mock_nvml.code;
}
int nvmlDeviceGetUtilizationRates(void*, nvmlUtilization* utilization) {
  utilization->gpu = mock_nvml.utilization;
  return mock_nvml.extras_code;
}
int nvmlDeviceGetTotalEccErrors(void*, int kind, int counter, unsigned long long* errors) {
  if (counter != 0) return 2;
  *errors = kind == 0 ? mock_nvml.corrected : mock_nvml.uncorrected;
  return mock_nvml.extras_code;
}
int nvmlDeviceGetMigMode(void*, unsigned* current, unsigned* pending) {
  *current = *pending = mock_nvml.mig;
  return mock_nvml.extras_code;
}
#ifndef MOCK_NVML_OF_AN_OLD_DRIVER
int nvmlDeviceGetCurrentClocksThrottleReasons(void*, unsigned long long* reasons) {
  *reasons = mock_nvml.throttle;
  return mock_nvml.extras_code;
}
#endif
}
