// Constructors of the models, one per file; MakeModel chooses among them. Each returns kUser if the
// spec and the data's shape do not fit together.
#pragma once

#include <cstdint>
#include <memory>

#include "core/base/result.h"
#include "core/spec/training_job.h"
#include "runtime/model/model.h"

namespace longstride {

// Linear layers with relu between them, over flattened features: fc1 ... fcN.
[[nodiscard]] Result<std::unique_ptr<Model>> MakeMlp(const MlpModel& spec, const DataShape& shape,
                                                     Precision precision, uint64_t seed);

// Per channel entry a 3x3 convolution with padding 1, relu and 2x2 max-pooling; then two linear
// layers: conv1 ... convN, fc1, fc2. With channels 16, 32, hidden 256, 1x28x28 and 10 classes:
// 409,034 parameters.
[[nodiscard]] Result<std::unique_ptr<Model>> MakeCnn(const CnnModel& spec, const DataShape& shape,
                                                     Precision precision, uint64_t seed);

// Residual networks [He et al. 2016]. cifar: depth 6n+2, 16-32-64 channels, and a 1x1 convolution
// with batch normalization as shortcut where the size changes (the paper's option B). imagenet: 18
// (basic blocks) and 50 (bottlenecks, stride in the 3x3 convolution), named as in torchvision.
[[nodiscard]] Result<std::unique_ptr<Model>> MakeResnet(const ResnetModel& spec,
                                                        const DataShape& shape, Precision precision,
                                                        uint64_t seed);

// Decoder-only transformer with pre-normalization and learned positions, named and initialized as
// GPT-2: N(0, 0.02), residual projections N(0, 0.02 / sqrt(2 layers)), biases 0. The head is tied
// to the token embedding, which saves vocabulary x width parameters in every message.
[[nodiscard]] Result<std::unique_ptr<Model>> MakeGpt(const GptModel& spec, const DataShape& shape,
                                                     Precision precision, uint64_t seed);

// A module that the user made with torch.jit.script and saved. Its parameters are those in the
// file. A parameter that does not require gradients is listed among the buffers: kept, not trained.
[[nodiscard]] Result<std::unique_ptr<Model>> MakeTorchscript(const TorchscriptModel& spec,
                                                             const DataShape& shape,
                                                             Precision precision);

// Values that a model puts out per sample: classes, or the outputs of a regression.
[[nodiscard]] inline int64_t OutputsOf(const DataShape& shape) {
  return shape.classes > 0 ? shape.classes : shape.outputs;
}

}  // namespace longstride
