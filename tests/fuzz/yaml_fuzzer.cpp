// Any text either gives faults, each with a message that JSON can carry, or a job that goes through JSON
// unchanged.
#include <cstdlib>

#include "core/spec/parse.h"
#include "core/spec/to_json.h"

using namespace longstride;  // NOLINT: a program of one function

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ParsedJob parsed = ParseTrainingJob(text, "fuzz.yaml");
  if (!parsed.ok()) {
    if (parsed.faults.empty()) std::abort();
    for (const Fault& fault : parsed.faults) (void)nlohmann::json(fault.Text()).dump();
    return 0;
  }
  const nlohmann::json json = ToJson(*parsed.job);
  const ParsedJob again = ParseTrainingJobJson(json);
  if (!again.ok() || ToJson(*again.job) != json) std::abort();
  return 0;
}
