#include "runtime/checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "core/base/format.h"
#include "tests/runtime/data/files.h"

namespace longstride::checkpoint {
namespace {

using data::TemporaryFolder;
using data::ToBytes;

const std::string kHere = LONGSTRIDE_SOURCE_DIR "/tests/runtime/checkpoint/";

template <typename T>
OwnedTensor Tensor(const std::string& name, TensorType type, std::vector<int64_t> shape,
                   const std::vector<T>& values) {
  return CopyTensor(name, type, std::move(shape), values.data(), values.size() * sizeof(T));
}

std::vector<OwnedTensor> Sample() {
  return {Tensor<uint8_t>("flags", TensorType::kUint8, {3}, {0, 255, 7}),
          Tensor<float>("weight", TensorType::kFloat32, {2, 3}, {0, 0.25, 0.5, 0.75, 1, 1.25}),
          Tensor<double>("moment", TensorType::kFloat64, {2}, {1e-300, -2.5}),
          Tensor<float>("none", TensorType::kFloat32, {0, 4}, {}),
          Tensor<int64_t>("step", TensorType::kInt64, {}, {41})};
}

Result<std::string> Encode(const std::vector<OwnedTensor>& tensors) {
  std::vector<TensorView> views;
  for (const OwnedTensor& tensor : tensors) views.push_back(tensor.View());
  std::string out;
  const Status status = WriteSafetensors(views, [&](std::span<const uint8_t> bytes) {
    out.append(bytes.begin(), bytes.end());
    return Status();
  });
  if (!status.ok()) return status.error();
  return out;
}

void ExpectSample(const Safetensors& file) {
  EXPECT_EQ(file.tensors().size(), 5U);
  for (const OwnedTensor& wanted : Sample()) {
    const auto found = file.Find(wanted.name, wanted.type, wanted.shape);
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_EQ(std::vector<uint8_t>(found->data.begin(), found->data.end()), wanted.data)
        << wanted.name;
  }
}

TEST(Safetensors, WritesThePinnedBytes) {
  const auto bytes = Encode({Tensor<uint8_t>("b", TensorType::kUint8, {2}, {1, 2}),
                             Tensor<float>("a", TensorType::kFloat32, {1}, {1})});
  ASSERT_TRUE(bytes.ok());
  const std::string header =
      std::string(R"({"a":{"data_offsets":[0,4],"dtype":"F32","shape":[1]},)") +
      R"("b":{"data_offsets":[4,6],"dtype":"U8","shape":[2]}})" + std::string(6, ' ');
  EXPECT_EQ(header.size() % 8, 0U);
  EXPECT_EQ(*bytes,
            data::Little<uint64_t>({header.size()}) + header + std::string("\0\0\x80\x3f\1\2", 6));
}

TEST(Safetensors, ReadsBackWhatItWrote) {
  const auto bytes = Encode(Sample());
  ASSERT_TRUE(bytes.ok());
  const auto file = Safetensors::Parse(ToBytes(*bytes), "sample");
  ASSERT_TRUE(file.ok()) << file.error().message;
  ExpectSample(*file);
}

// golden/make_golden.py wrote it with the reference implementation.
TEST(Safetensors, ReadsTheReferenceImplementationsFile) {
  const auto file = Safetensors::Open(kHere + "golden/reference.safetensors");
  ASSERT_TRUE(file.ok()) << file.error().message;
  ExpectSample(*file);
}

// The Python package, in the version that scripts/install-deps.sh installs.
std::string PythonPackage() {
  const char* cache = std::getenv("LONGSTRIDE_CACHE");
  const char* home = std::getenv("HOME");
  const std::string in = cache ? cache : std::string(home ? home : "") + "/.cache/longstride";
  return in + "/python-safetensors-0.8.0";
}

// Both directions with the reference implementation.
TEST(Safetensors, PythonReadsOursAndWeReadPythons) {
  const std::string package = PythonPackage();
  ASSERT_TRUE(std::filesystem::exists(package))
      << "no " << package << ": run scripts/install-deps.sh";
  TemporaryFolder folder;
  const auto bytes = Encode(Sample());
  ASSERT_TRUE(bytes.ok());
  folder.Write("ours.safetensors", *bytes);
  const std::string script = folder.Write("interchange.py", R"(
import sys
import numpy as np
from safetensors.numpy import load_file, save_file
ours = load_file(sys.argv[1] + "/ours.safetensors")
assert sorted(ours) == ["flags", "moment", "none", "step", "weight"], sorted(ours)
assert ours["weight"].dtype == np.float32
assert (ours["weight"] == np.arange(6).reshape(2, 3) / 4).all()
assert ours["moment"].dtype == np.float64 and list(ours["moment"]) == [1e-300, -2.5]
assert ours["step"].dtype == np.int64 and ours["step"].shape == () and ours["step"] == 41
assert list(ours["flags"]) == [0, 255, 7] and ours["none"].shape == (0, 4)
save_file(ours, sys.argv[1] + "/theirs.safetensors", metadata={"note": "any"})
)");
  const std::string python = "PYTHONPATH='" + package + "' /usr/bin/python3 -B ";
  ASSERT_EQ(std::system((python + script + " " + folder.path()).c_str()), 0);
  const auto theirs = Safetensors::Open(folder.path() + "/theirs.safetensors");
  ASSERT_TRUE(theirs.ok()) << theirs.error().message;
  ExpectSample(*theirs);
}

TEST(Safetensors, WriterRefusesWhatWouldNotBeAFile) {
  const std::vector<OwnedTensor> bad[] = {
      {Tensor<float>("w", TensorType::kFloat32, {2}, {1})},
      {Tensor<float>("w", TensorType::kFloat32, {1}, {1}),
       Tensor<float>("w", TensorType::kFloat32, {1}, {1})},
      {Tensor<float>("__metadata__", TensorType::kFloat32, {1}, {1})},
  };
  for (const auto& tensors : bad) {
    const auto bytes = Encode(tensors);
    ASSERT_FALSE(bytes.ok());
    EXPECT_EQ(bytes.error().code, ErrorCode::kBug);
  }
}

TEST(Safetensors, FindSaysWhatIsThereInstead) {
  const auto bytes = Encode(Sample());
  const auto file = Safetensors::Parse(ToBytes(*bytes), "model.safetensors");
  ASSERT_TRUE(file.ok());
  const auto shape = file->Find("weight", TensorType::kFloat32, std::vector<int64_t>{3, 2});
  ASSERT_FALSE(shape.ok());
  EXPECT_NE(shape.error().message.find(
                "model.safetensors: found F32 [2, 3], expected tensor 'weight' of F32 [3, 2]"),
            std::string::npos)
      << shape.error().message;
  EXPECT_FALSE(file->Find("missing", TensorType::kFloat32, {}).ok());
}

struct Case {
  const char* file;
  const char* text;
};
const Case kCases[] = {
    {"empty", "byte 0: found the end of the file, expected a header length of 8 bytes"},
    {"length-cut", "byte 5: found the end of the file, expected a header length of 8 bytes"},
    {"length-beyond-file", "byte 0: found a header of 1000 bytes, expected at most"},
    {"length-enormous", "byte 0: found a header of 18446744073709551615 bytes, expected at most 2"},
    {"header-not-json", "byte 8: found text that is no JSON object"},
    {"header-array", "byte 8: found text that is no JSON object"},
    {"header-not-utf8", "byte 8: found text that is no JSON object"},
    {"header-deep", "byte 8: found JSON nested deeper than three levels"},
    {"key-twice", "byte 8: found the key \"w\" twice"},
    {"entry-number",
     "found an entry for tensor 'w', expected an object of dtype, shape and data_offsets"},
    {"entry-without-shape", "found an entry for tensor 'w', expected an object of dtype, shape"},
    {"dtype-bf16", "found dtype \"BF16\" for tensor 'w', expected F32, F64, I64 or U8"},
    {"dtype-number", "found dtype 32 for tensor 'w', expected F32, F64, I64 or U8"},
    {"shape-negative", "found a shape for tensor 'w', expected an array of whole numbers from 0"},
    {"shape-fraction", "found a shape for tensor 'w', expected an array of whole numbers from 0"},
    {"shape-overflow", "expected an impossible number of bytes for shape [4611686018427387904, "},
    {"shape-too-large-for-offsets",
     "found data_offsets [0, 8] for tensor 'w', expected 12 bytes for shape [3] of F32"},
    {"offsets-three", "found data_offsets for tensor 'w', expected two whole numbers from 0"},
    {"offsets-backwards",
     "found data_offsets [8, 0] for tensor 'w', expected 0 bytes for shape [0] of F32"},
    {"offsets-overlap",
     "found tensor 'b' at data offset 4, expected 8, where the one before it ends"},
    {"offsets-gap", "found tensor 'b' at data offset 12, expected 8, where the one before it ends"},
    {"data-cut", "found 7 bytes of data, expected 8 as its header says"},
    {"data-too-long", "found 9 bytes of data, expected 8 as its header says"},
};

class BrokenSafetensors : public testing::TestWithParam<Case> {};

TEST_P(BrokenSafetensors, GiveOneClearMessage) {
  const std::string path = kHere + "broken/" + GetParam().file + ".safetensors";
  const auto file = Safetensors::Open(path);
  ASSERT_FALSE(file.ok());
  const std::string& message = file.error().message;
  EXPECT_EQ(file.error().code, ErrorCode::kData);
  EXPECT_TRUE(message.starts_with(path + ": byte ")) << message;
  EXPECT_NE(message.find(GetParam().text), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(Case, BrokenSafetensors, testing::ValuesIn(kCases), [](const auto& info) {
  std::string name = info.param.file;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

TEST(BrokenSafetensorsTable, HasARowForEveryFile) {
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kHere + "broken")) {
    if (entry.path().extension() == ".safetensors") files.insert(entry.path().stem());
  }
  std::set<std::string> rows;
  for (const Case& c : kCases) rows.insert(c.file);
  EXPECT_EQ(files, rows);
}

}  // namespace
}  // namespace longstride::checkpoint
