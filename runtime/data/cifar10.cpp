#include "runtime/data/cifar10.h"

#include <filesystem>

#include "core/base/format.h"
#include "runtime/data/dense_dataset.h"

namespace longstride::data {
namespace {

constexpr size_t kPixels = size_t{3} * 32 * 32;
constexpr size_t kRecord = 1 + kPixels;
constexpr int64_t kClasses = 10;

Status Append(const std::string& path, DenseFeatures* features, DenseTargets* targets) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const Bytes file, MapFile(path));
  if (file.size() == 0 || file.size() % kRecord != 0) {
    return BrokenFile(path, file.size(), "the end of the file",
                      Format("a size of whole records of %zu bytes", kRecord),
                      "the file is cut short or not CIFAR-10's binary version: fetch it again");
  }
  const size_t records = file.size() / kRecord;
  for (size_t i = 0; i < records; ++i) {
    const uint8_t label = file.view[i * kRecord];
    if (label >= kClasses) {
      return BrokenFile(path, i * kRecord, Format("label %d", static_cast<int>(label)), "0 to 9",
                        "the file is damaged or not CIFAR-10's binary version: fetch it again");
    }
    targets->labels.push_back(label);
  }
  features->segments.push_back(
      {file.Slice(1, file.size() - 1), kRecord, static_cast<int64_t>(records)});
  return {};
}

}  // namespace

Result<DatasetPair> OpenCifar10Datasets(const DataSpec& spec) {
  const std::filesystem::path folder(spec.path);
  const DenseFeatures empty{ElementType::kUint8, {3, 32, 32}, {}};
  DenseFeatures train = empty;
  DenseFeatures test = empty;
  DenseTargets train_targets{{}, kClasses, {}, 0};
  DenseTargets test_targets = train_targets;
  for (int i = 1; i <= 5; ++i) {
    LONGSTRIDE_RETURN_IF_ERROR(
        Append(folder / Format("data_batch_%d.bin", i), &train, &train_targets));
  }
  LONGSTRIDE_RETURN_IF_ERROR(Append(folder / "test_batch.bin", &test, &test_targets));
  return MakeDensePair(std::move(train), std::move(train_targets), std::move(test),
                       std::move(test_targets), spec.normalization);
}

}  // namespace longstride::data
