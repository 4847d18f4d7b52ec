#include <exception>

#include "core/base/format.h"
#include "runtime/model/model.h"
#include "runtime/model/zoo.h"

namespace longstride {
namespace {

Result<std::unique_ptr<Model>> Choose(const ModelSpec& spec, const DataShape& shape,
                                      Precision precision, uint64_t seed) {
  switch (spec.kind) {
    case ModelKind::kMlp:
      return MakeMlp(spec.mlp, shape, precision, seed);
    case ModelKind::kCnn:
      return MakeCnn(spec.cnn, shape, precision, seed);
    case ModelKind::kResnet:
      return MakeResnet(spec.resnet, shape, precision, seed);
    case ModelKind::kGpt:
      return MakeGpt(spec.gpt, shape, precision, seed);
    case ModelKind::kTorchscript:
      return MakeTorchscript(spec.torchscript, shape, precision);
  }
  return BugError("model: unknown kind");
}

}  // namespace

Result<std::unique_ptr<Model>> MakeModel(const ModelSpec& spec, const DataShape& shape,
                                         Precision precision, uint64_t seed) {
  if (shape.features.empty() || OutputsOf(shape) < 1) {
    return UserError("model: the data have no features or nothing to predict");
  }
  try {
    return Choose(spec, shape, precision, seed);
  } catch (const std::bad_alloc&) {
    return ResourceError("model: not enough memory for its parameters; make the model smaller");
  } catch (const std::exception& e) {
    return ResourceError(Format("model: LibTorch cannot make its parameters: %s", e.what()));
  }
}

}  // namespace longstride
