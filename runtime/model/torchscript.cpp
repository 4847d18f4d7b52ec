#include <caffe2/serialize/inline_container.h>
#include <torch/script.h>

#include <exception>
#include <filesystem>
#include <unordered_set>

#include "core/base/format.h"
#include "runtime/model/layers.h"
#include "runtime/model/zoo.h"

namespace longstride {
namespace {

// The last line that LibTorch gives before its C++ backtrace: the error itself, after the
// interpreter's own stack.
std::string Reason(const std::exception& e) {
  std::string text = e.what();
  text.resize(std::min(text.find("\nException raised from"), text.size()));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const size_t line = text.rfind('\n');
  return line == std::string::npos ? text : text.substr(line + 1);
}

// Whether text begins as "/home/me/net.py(12): forward", the first line of a call stack as the
// tracer records it; the text of a script begins with a def.
bool IsCallStack(std::string text) {
  text.resize(std::min(text.find('\n'), text.size()));
  const size_t close = text.find("): ");
  if (close == std::string::npos) return false;
  const size_t open = text.find_last_not_of("0123456789", close - 1);
  return open != std::string::npos && text[open] == '(' && open + 1 < close;
}

// Whether torch.jit.trace made code of this module. The origin of an instruction, kept in the
// file's debug records, is a Python call stack if it was traced and the text of a function if it
// was scripted.
bool HasTracedCode(const torch::jit::Module& module) {
  for (const torch::jit::Module& part : module.modules()) {
    for (const torch::jit::Method& method : part.get_methods()) {
      for (const torch::jit::Node* node : method.graph()->nodes()) {
        const auto origin = node->sourceRange().findSourceRangeThatGenerated();
        if (origin && origin->source() && IsCallStack(origin->source()->text_str().str())) {
          return true;
        }
      }
    }
  }
  return false;
}

// Runs every operator as it stands. The profiling executor would rewrite the graph after its first
// calls, so that a resumed run, which profiles anew, would differ in its last bits from an
// undisturbed one.
class PlainExecution {
 public:
  PlainExecution() : before_(torch::jit::getGraphExecutorOptimize()) {
    torch::jit::setGraphExecutorOptimize(false);
  }
  ~PlainExecution() { torch::jit::setGraphExecutorOptimize(before_); }
  PlainExecution(const PlainExecution&) = delete;
  PlainExecution& operator=(const PlainExecution&) = delete;

 private:
  bool before_;
};

class Script final : public Model {
 public:
  Script(torch::jit::Module module, at::ScalarType type) : module_(std::move(module)), type_(type) {
    std::unordered_set<const void*> seen;  // a tied parameter has several names
    for (const auto& item : module_.named_parameters()) {
      if (!seen.insert(item.value.unsafeGetTensorImpl()).second) continue;
      Convert(item.value);
      (item.value.requires_grad() ? parameters_ : buffers_).push_back({item.name, item.value});
    }
    for (const auto& item : module_.named_buffers()) {
      if (!seen.insert(item.value.unsafeGetTensorImpl()).second) continue;
      Convert(item.value);
      buffers_.push_back({item.name, item.value});
    }
    module_.train(true);
  }

  std::vector<NamedTensor>& parameters() override { return parameters_; }
  std::vector<NamedTensor>& buffers() override { return buffers_; }
  void SetTraining(bool training) override { module_.train(training); }

  at::Tensor Forward(const at::Tensor& features) override {
    const PlainExecution plain;
    const bool ids = features.scalar_type() == at::kLong;
    return module_.forward({ids ? features : features.to(type_)}).toTensor();
  }

  at::Tensor Loss(const at::Tensor& outputs, const at::Tensor& target) override {
    return MeanLoss(outputs, target);
  }

  int64_t MinBatch() const override { return min_batch_; }
  void set_min_batch(int64_t samples) { min_batch_ = samples; }

 private:
  void Convert(at::Tensor tensor) const {
    if (tensor.is_floating_point() && tensor.scalar_type() != type_) {
      tensor.set_data(tensor.detach().to(type_));
    }
  }

  torch::jit::Module module_;
  at::ScalarType type_;
  int64_t min_batch_ = 1;
  std::vector<NamedTensor> parameters_;
  std::vector<NamedTensor> buffers_;
};

std::string SizesText(at::IntArrayRef sizes) {
  std::string text;
  for (const int64_t size : sizes) {
    text += (text.empty() ? "[" : ", ") + std::to_string(size);
  }
  return text.empty() ? "[]" : text + "]";
}

// Whether a training pass takes a single sample: batch normalization refuses one value per channel
// or, called without that check, leaves no finite variance of it. Leaves the buffers as they were.
bool TrainsOnOne(Script& script, const at::Tensor& sample, at::IntArrayRef expected) {
  std::vector<at::Tensor> before;
  for (const NamedTensor& b : script.buffers()) before.push_back(b.tensor.clone());
  bool trains = false;
  try {
    trains = script.Forward(sample).sizes() == expected;
  } catch (const std::exception&) {
    // A step of two will say so if they do not help.
  }
  for (size_t i = 0; i < before.size(); ++i) {
    at::Tensor& now = script.buffers()[i].tensor;
    trains = trains && (now.equal(before[i]) || at::isfinite(now).all().item<bool>());
    now.copy_(before[i]);
  }
  return trains;
}

// Runs two samples of zeros through the model, so that a misfit is found before training starts.
// Then one, to learn what training takes.
Status CheckFit(Script& script, const std::string& path, const DataShape& shape,
                at::ScalarType type) {
  std::vector<int64_t> features{2};
  features.insert(features.end(), shape.features.begin(), shape.features.end());
  std::vector<int64_t> expected{2, OutputsOf(shape)};
  if (shape.tokens) expected.insert(expected.begin() + 1, shape.features[0]);
  const at::NoGradGuard no_grad;
  script.SetTraining(false);
  try {
    const at::Tensor outputs = script.Forward(at::zeros(features, shape.tokens ? at::kLong : type));
    if (outputs.sizes() != at::IntArrayRef(expected)) {
      return UserError(
          Format("model.torchscript.path: %s: puts out %s for features %s, but the data need %s",
                 path.c_str(), SizesText(outputs.sizes()).c_str(), SizesText(features).c_str(),
                 SizesText(expected).c_str()));
    }
  } catch (const std::exception& e) {
    return UserError(Format("model.torchscript.path: %s: forward fails on features %s: %s",
                            path.c_str(), SizesText(features).c_str(), Reason(e).c_str()));
  }
  script.SetTraining(true);
  features[0] = expected[0] = 1;
  const at::Tensor sample = at::zeros(features, shape.tokens ? at::kLong : type);
  script.set_min_batch(TrainsOnOne(script, sample, expected) ? 1 : 2);
  return {};
}

Result<torch::jit::Module> Load(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) {
    return DataError(
        Format("%s: no such file; model.torchscript.path names a module saved by "
               "torch.jit.script(...).save(path)",
               path.c_str()));
  }
  try {
    // torch.jit.save keeps the example inputs of a traced module in a record of their own.
    const bool traced_inputs =
        caffe2::serialize::PyTorchStreamReader(path).hasRecord("traced_inputs.pkl");
    torch::jit::Module module = torch::jit::load(path, at::kCPU);
    if (traced_inputs || HasTracedCode(module)) {
      return DataError(Format(
          "%s: made by torch.jit.trace, which fixes the mode of dropout and batch normalization "
          "and the "
          "branches taken at tracing, so it cannot be trained and evaluated rightly; save it with "
          "torch.jit.script instead",
          path.c_str()));
    }
    return module;
  } catch (const std::exception& e) {
    return DataError(
        Format("%s: cannot be loaded as TorchScript (save it with "
               "torch.jit.script(...).save(path)): %s",
               path.c_str(), Reason(e).c_str()));
  }
}

}  // namespace

Result<std::unique_ptr<Model>> MakeTorchscript(const TorchscriptModel& spec, const DataShape& shape,
                                               Precision precision) {
  const bool regression = shape.classes == 0;
  if (regression != (spec.loss == ScriptLoss::kMeanSquaredError)) {
    return UserError(regression ? "model.torchscript.loss: the data are a regression, which needs "
                                  "meanSquaredError"
                                : "model.torchscript.loss: the data have classes, which need "
                                  "crossEntropy");
  }
  LONGSTRIDE_ASSIGN_OR_RETURN(torch::jit::Module module, Load(spec.path));
  if (!module.find_method("forward")) {
    return DataError(Format("%s: has no method forward", spec.path.c_str()));
  }
  const at::ScalarType type = ScalarTypeOf(precision);
  auto script = std::make_unique<Script>(std::move(module), type);
  if (script->parameters().empty()) {
    return DataError(
        Format("%s: has no parameters to train (frozen by torch.jit.freeze, or all with "
               "requires_grad=False)",
               spec.path.c_str()));
  }
  LONGSTRIDE_RETURN_IF_ERROR(CheckFit(*script, spec.path, shape, type));
  return std::unique_ptr<Model>(std::move(script));
}

}  // namespace longstride
