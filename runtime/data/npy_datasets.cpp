#include <cmath>
#include <filesystem>

#include "core/base/format.h"
#include "runtime/data/npy.h"
#include "runtime/data/zip.h"

namespace longstride::data {
namespace {

// A label beyond this is a damaged file, not a model with a million outputs.
constexpr int64_t kMaxClasses = 1'000'000;

struct NamedArray {
  std::string name;
  NpyArray array;
};
struct Part {
  NamedArray x;
  NamedArray y;
  DenseFeatures features;
  DenseTargets targets;
};

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

Result<NamedArray> OpenFile(const std::string& path) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const Bytes file, MapFile(path));
  LONGSTRIDE_ASSIGN_OR_RETURN(NpyArray array, ParseNpy(file, path));
  return NamedArray{path, std::move(array)};
}

Result<NamedArray> OpenEntry(const ZipArchive& archive, const std::string& path,
                             const std::string& entry) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const Bytes content, archive.Read(entry));
  NamedArray named{path + "(" + entry + ")", {}};
  LONGSTRIDE_ASSIGN_OR_RETURN(named.array, ParseNpy(content, named.name));
  return named;
}

// An element of any type as a double; exact for labels within bounds.
double ValueAt(const NpyArray& array, size_t i) {
  const uint8_t* at = array.elements.view.data() + i * ElementSize(array.type);
  switch (array.type) {
    case ElementType::kUint8:
      return *at;
    case ElementType::kInt32:
      return LoadLittle<int32_t>(at);
    case ElementType::kInt64:
      return static_cast<double>(LoadLittle<int64_t>(at));
    case ElementType::kFloat32:
      return static_cast<double>(LoadLittle<float>(at));
    case ElementType::kFloat64:
      return LoadLittle<double>(at);
  }
  return 0;
}

bool IsFloat(ElementType type) {
  return type == ElementType::kFloat32 || type == ElementType::kFloat64;
}

template <typename T>
Status CheckFinite(const NamedArray& x) {
  const Bytes& elements = x.array.elements;
  for (size_t i = 0; i < elements.size(); i += sizeof(T)) {
    const T value = LoadLittle<T>(elements.view.data() + i);
    if (std::isfinite(value)) continue;
    return BrokenFile(x.name, x.array.data_offset + i,
                      Format("a feature that is %g", static_cast<double>(value)), "finite numbers",
                      "remove or repair the sample");
  }
  return {};
}

Status ReadFeatures(Part* part) {
  const NpyArray& x = part->x.array;
  if (x.shape.size() < 2 || x.shape.size() > 4 || x.elements.size() == 0) {
    return BrokenFile(part->x.name, 0, "shape " + ShapeText(x.shape),
                      "[n, features], [n, height, width] or [n, channels, height, width], none 0",
                      "reshape the array so that its first dimension counts samples");
  }
  if (x.type == ElementType::kFloat32) LONGSTRIDE_RETURN_IF_ERROR(CheckFinite<float>(part->x));
  if (x.type == ElementType::kFloat64) LONGSTRIDE_RETURN_IF_ERROR(CheckFinite<double>(part->x));
  std::vector<int64_t> sample(x.shape.begin() + 1, x.shape.end());
  if (sample.size() == 2) sample.insert(sample.begin(), 1);
  const size_t stride = x.elements.size() / static_cast<size_t>(x.shape[0]);
  part->features = {x.type, std::move(sample), {{x.elements, stride, x.shape[0]}}};
  return {};
}

Status ReadLabels(Part* part) {
  const NpyArray& y = part->y.array;
  const auto n = static_cast<size_t>(y.shape[0]);
  part->targets.labels.resize(n);
  for (size_t i = 0; i < n; ++i) {
    const double label = ValueAt(y, i);
    if (label < 0 || label >= static_cast<double>(kMaxClasses)) {
      return BrokenFile(part->y.name, y.data_offset + i * ElementSize(y.type),
                        Format("label %.0f", label),
                        Format("0 to %lld", static_cast<long long>(kMaxClasses - 1)),
                        "number the classes from 0");
    }
    part->targets.labels[i] = static_cast<int64_t>(label);
  }
  return {};
}

Status ReadValues(Part* part) {
  const NpyArray& y = part->y.array;
  part->targets.outputs = y.shape.size() == 2 ? y.shape[1] : 1;
  const size_t n = y.elements.size() / ElementSize(y.type);
  part->targets.values.resize(n);
  for (size_t i = 0; i < n; ++i) {
    const double value = ValueAt(y, i);
    if (!std::isfinite(value)) {
      return BrokenFile(part->y.name, y.data_offset + i * ElementSize(y.type),
                        Format("target %g", value), "a finite number",
                        "remove or repair the sample");
    }
    part->targets.values[i] = static_cast<float>(value);
  }
  return {};
}

Status Read(Part* part) {
  LONGSTRIDE_RETURN_IF_ERROR(ReadFeatures(part));
  const NpyArray& y = part->y.array;
  const bool values = IsFloat(y.type);
  const bool rank_fits = y.shape.size() == 1 || (values && y.shape.size() == 2 && y.shape[1] > 0);
  if (!rank_fits || y.shape[0] != part->x.array.shape[0]) {
    return BrokenFile(
        part->y.name, 0, "shape " + ShapeText(y.shape),
        Format("[%lld]%s, as many as samples in %s", static_cast<long long>(part->x.array.shape[0]),
               values ? " or [n, outputs]" : "", part->x.name.c_str()),
        "save samples and labels of the same length");
  }
  return values ? ReadValues(part) : ReadLabels(part);
}

Result<Part> OpenPart(const std::string& folder, const std::string& which) {
  Part part;
  const std::string stem = (std::filesystem::path(folder) / which).string();
  const std::string archive_path = stem + ".npz";
  if (Exists(archive_path)) {
    LONGSTRIDE_ASSIGN_OR_RETURN(const Bytes file, MapFile(archive_path));
    LONGSTRIDE_ASSIGN_OR_RETURN(const ZipArchive archive, ZipArchive::Parse(file, archive_path));
    LONGSTRIDE_ASSIGN_OR_RETURN(part.x, OpenEntry(archive, archive_path, "x.npy"));
    LONGSTRIDE_ASSIGN_OR_RETURN(part.y, OpenEntry(archive, archive_path, "y.npy"));
  } else if (Exists(stem + "_x.npy")) {
    LONGSTRIDE_ASSIGN_OR_RETURN(part.x, OpenFile(stem + "_x.npy"));
    LONGSTRIDE_ASSIGN_OR_RETURN(part.y, OpenFile(stem + "_y.npy"));
  } else {
    return UserError(
        "spec.data.path: " + folder + ": neither " + which + ".npz nor " + which +
        "_x.npy there; an npy data set needs train.npz and test.npz with arrays x and y, "
        "or train_x.npy, train_y.npy, test_x.npy and test_y.npy");
  }
  LONGSTRIDE_RETURN_IF_ERROR(Read(&part));
  return part;
}

Status CheckAlike(const Part& train, const Part& test, int64_t classes) {
  if (test.features.shape != train.features.shape) {
    return BrokenFile(test.x.name, 0, "samples of " + ShapeText(test.features.shape),
                      ShapeText(train.features.shape) + " as in " + train.x.name,
                      "save both from the same data set");
  }
  if (test.targets.outputs != train.targets.outputs) {
    return BrokenFile(test.y.name, 0,
                      Format("%lld outputs", static_cast<long long>(test.targets.outputs)),
                      Format("%lld as in %s (0 means labels)",
                             static_cast<long long>(train.targets.outputs), train.y.name.c_str()),
                      "save both from the same data set");
  }
  if (train.targets.outputs > 0) return {};
  const int64_t largest = CountClasses(train.targets.labels);
  const std::string allowed =
      Format("0 to %lld, ", static_cast<long long>((classes > 0 ? classes : largest) - 1)) +
      (classes > 0 ? "as spec.data.classes says" : "the largest in " + train.y.name);
  for (const Part* part : {&train, &test}) {
    for (size_t i = 0; i < part->targets.labels.size(); ++i) {
      if (part->targets.labels[i] < (classes > 0 ? classes : largest)) continue;
      const NamedArray& y = part->y;
      return BrokenFile(y.name, y.array.data_offset + i * ElementSize(y.array.type),
                        Format("label %lld", static_cast<long long>(part->targets.labels[i])),
                        allowed, "save both from the same data set");
    }
  }
  return {};
}

}  // namespace

Result<DatasetPair> OpenNpyDatasets(const DataSpec& spec) {
  LONGSTRIDE_ASSIGN_OR_RETURN(Part train, OpenPart(spec.path, "train"));
  LONGSTRIDE_ASSIGN_OR_RETURN(Part test, OpenPart(spec.path, "test"));
  LONGSTRIDE_RETURN_IF_ERROR(CheckAlike(train, test, spec.classes));
  if (train.targets.outputs == 0) {
    train.targets.classes = test.targets.classes =
        spec.classes > 0 ? spec.classes : CountClasses(train.targets.labels);
  }
  return MakeDensePair(std::move(train.features), std::move(train.targets),
                       std::move(test.features), std::move(test.targets), spec.normalization);
}

}  // namespace longstride::data
