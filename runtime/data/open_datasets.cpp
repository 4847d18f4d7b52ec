#include "core/base/format.h"
#include "runtime/data/dataset.h"
#include "runtime/data/idx.h"
#include "runtime/data/synthetic.h"

namespace longstride {

Result<DatasetPair> OpenDatasets(const DataSpec& spec, uint64_t seed) {
  switch (spec.format) {
    case DataFormat::kIdx: return data::OpenIdxDatasets(spec);
    case DataFormat::kSynthetic: return data::OpenSyntheticDatasets(spec, seed);
    default: break;
  }
  return BugError(Format("spec.data.format: value %d has no reader", static_cast<int>(spec.format)));
}

}  // namespace longstride
