#include "core/base/format.h"
#include "runtime/data/cifar10.h"
#include "runtime/data/dataset.h"
#include "runtime/data/idx.h"
#include "runtime/data/npy.h"
#include "runtime/data/synthetic.h"
#include "runtime/data/tokens.h"

namespace longstride {

Result<DatasetPair> OpenDatasets(const DataSpec& spec, uint64_t seed) {
  switch (spec.format) {
    case DataFormat::kIdx:
      return data::OpenIdxDatasets(spec);
    case DataFormat::kNpy:
      return data::OpenNpyDatasets(spec);
    case DataFormat::kCifar10:
      return data::OpenCifar10Datasets(spec);
    case DataFormat::kTokens:
    case DataFormat::kText:
      return data::OpenTokenDatasets(spec);
    case DataFormat::kSynthetic:
      return data::OpenSyntheticDatasets(spec, seed);
  }
  return BugError(
      Format("spec.data.format: value %d has no reader", static_cast<int>(spec.format)));
}

}  // namespace longstride
