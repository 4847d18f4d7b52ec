// The scripted answers of the mock libnvidia-ml that the tests build. A test finds `mock_nvml` in
// the library with dlsym and writes it.
#pragma once

struct MockNvml {
  int code = 0;         // what every call but the two below returns
  int init_code = 0;    // of nvmlInit_v2
  int extras_code = 0;  // of utilization, ECC, MIG and throttle reasons
  unsigned count = 2;
  unsigned long long used = 3, total = 80;
  unsigned utilization = 40;  // percent
  unsigned long long corrected = 7, uncorrected = 1;
  unsigned mig = 0;
  unsigned long long throttle = 0;
  int initialized = 0;  // nvmlInit_v2 less nvmlShutdown
};
