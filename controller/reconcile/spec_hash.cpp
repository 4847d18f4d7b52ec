#include "controller/reconcile/spec_hash.h"

#include "core/base/format.h"
#include "core/base/random.h"
#include "core/spec/to_json.h"

namespace longstride {

std::string SpecHash(const TrainingJobSpec& spec) {
  nlohmann::json json = ToJson(TrainingJob{{}, spec}).at("spec");
  for (const char* key : {"replicas", "runPolicy"}) json.erase(key);
  uint64_t hash = 0;
  for (const char c : json.dump()) hash = Hash64(hash, static_cast<unsigned char>(c));
  return Format("%016llx", static_cast<unsigned long long>(hash));
}

}  // namespace longstride
