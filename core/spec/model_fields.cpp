// spec.model of the field table.
#include "core/spec/field_builders.h"

namespace longstride {

using namespace field_builders;  // NOLINT: a table is unreadable with every name qualified

std::vector<Field> ModelFields() {
  const std::string name = "spec.model.name";
  std::vector<Field> f;
  f.push_back(Object("spec.model", "The model; its inputs and outputs are sized by the data."));
  f.push_back(Enum(name, LONGSTRIDE_ENUM_AT(model.kind),
                   {"mlp", "cnn", "resnet", "gpt", "torchscript"},
                   "Which model; the object of the same name holds its sizes."));

  f.push_back(Object("spec.model.mlp", "Fully connected layers with ReLU.").When(name, {"mlp"}));
  f.push_back(IntegerList("spec.model.mlp.hidden", LONGSTRIDE_AT(model.mlp.hidden),
                          From(1, 1 << 20), "units",
                          "Width of each hidden layer; [] = a linear model.")
                  .Items(0, 32)
                  .Example("[256, 128]"));

  f.push_back(Object("spec.model.cnn",
                     "Blocks of 3x3 convolution, ReLU and 2x2 pooling, then one hidden layer.")
                  .When(name, {"cnn"}));
  f.push_back(IntegerList("spec.model.cnn.channels", LONGSTRIDE_AT(model.cnn.channels),
                          From(1, 1 << 16), "channels", "Channels after each block.")
                  .Items(1, 8));
  f.push_back(Integer("spec.model.cnn.hidden", LONGSTRIDE_AT(model.cnn.hidden), From(1, 1 << 20),
                      "units", "Width of the hidden layer."));

  f.push_back(Object("spec.model.resnet", "Residual network [He 2016] with batch normalization.")
                  .When(name, {"resnet"}));
  f.push_back(Enum("spec.model.resnet.style", LONGSTRIDE_ENUM_AT(model.resnet.style),
                   {"cifar", "imagenet"},
                   "cifar: three stages for small images; imagenet: four stages and a 7x7 stem."));
  f.push_back(Integer("spec.model.resnet.depth", LONGSTRIDE_AT(model.resnet.depth), From(8, 1202),
                      "layers", "cifar: 6n+2, as 20 or 56; imagenet: 18 or 50."));

  f.push_back(
      Object("spec.model.gpt", "Decoder-only transformer over tokens.").When(name, {"gpt"}));
  f.push_back(Integer("spec.model.gpt.layers", LONGSTRIDE_AT(model.gpt.layers), From(1, 256),
                      "layers", "Transformer blocks."));
  f.push_back(Integer("spec.model.gpt.heads", LONGSTRIDE_AT(model.gpt.heads), From(1, 256), "heads",
                      "Attention heads; must divide width."));
  f.push_back(Integer("spec.model.gpt.width", LONGSTRIDE_AT(model.gpt.width), From(1, 1 << 16),
                      "units", "Width of the residual stream."));
  f.push_back(Number("spec.model.gpt.dropout", LONGSTRIDE_AT(model.gpt.dropout), FromToBelow(0, 1),
                     "probability", "Dropout of attention, residuals and embeddings."));

  f.push_back(Object("spec.model.torchscript",
                     "A model of your own, saved by torch.jit.script(...).save().")
                  .When(name, {"torchscript"}));
  f.push_back(String("spec.model.torchscript.path", LONGSTRIDE_AT(model.torchscript.path),
                     "The scripted .pt file; traced ones are refused.")
                  .Required()
                  .MaxLength(kMaxPathLength)
                  .Example("model.pt"));
  f.push_back(Enum("spec.model.torchscript.loss", LONGSTRIDE_ENUM_AT(model.torchscript.loss),
                   {"crossEntropy", "meanSquaredError"},
                   "Loss between its output and the labels or targets."));
  return f;
}

}  // namespace longstride
