// Every folder under broken/ holds one fault and gives one message that names the file, the byte,
// what stands there and what was expected. broken/make_cases.py says how each was made.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "runtime/data/dataset.h"

namespace longstride {
namespace {

constexpr auto kIdx = DataFormat::kIdx;
constexpr auto kNpy = DataFormat::kNpy;
constexpr auto kCifar = DataFormat::kCifar10;
constexpr auto kTokens = DataFormat::kTokens;
constexpr auto kText = DataFormat::kText;

struct Case {
  const char* folder;
  DataFormat format;
  const char* text;  // that the message contains
  ErrorCode code = ErrorCode::kData;
};

const Case kCases[] = {
    {"idx-empty-file", kIdx,
     "train-images-idx3-ubyte: byte 0: found the end of the file, expected a header of 16 bytes"},
    {"idx-header-cut", kIdx,
     "train-images-idx3-ubyte: byte 11: found the end of the file, expected a header of 16 bytes"},
    {"idx-labels-in-place-of-images", kIdx,
     "train-images-idx3-ubyte: byte 0: found 0x00000801, expected magic number 0x00000803"},
    {"idx-floats", kIdx,
     "byte 0: found 0x00000d03, expected magic number 0x00000803 (IDX, unsigned bytes, 3 "
     "dimensions)"},
    {"idx-truncated", kIdx,
     "train-images-idx3-ubyte: byte 23: found the end of the file, expected 24 bytes for "
     "dimensions [2, 2, 2]"},
    {"idx-oversized", kIdx,
     "train-labels-idx1-ubyte: byte 10: found more bytes, expected the end of the file after 10 "
     "bytes"},
    {"idx-zero-dimension", kIdx, "byte 8: found 0 for dimension 1, expected at least 1"},
    {"idx-dimensions-overflow", kIdx,
     "byte 12: found 4294967295 for dimension 2, expected at least 1 and a product below 2^64"},
    {"idx-counts-differ", kIdx,
     "train-labels-idx1-ubyte: byte 4: found 3 labels, expected 2 as in"},
    {"idx-unknown-evaluation-label", kIdx,
     "t10k-labels-idx1-ubyte: byte 8: found label 7, expected 0 to 1"},
    {"idx-image-sizes-differ", kIdx,
     "t10k-images-idx3-ubyte: byte 8: found images of [1, 2, 3], expected [1, 2, 2] as in"},
    {"idx-labels-missing", kIdx, "no file train-labels-idx1-ubyte", ErrorCode::kUser},
    {"gz-no-deflate-data", kIdx,
     "train-images-idx3-ubyte.gz: byte 4: found unknown compression method, expected compressed "
     "data"},
    {"gz-truncated", kIdx,
     "train-images-idx3-ubyte.gz: byte 20: found the end of the file, expected more of its gzip "
     "stream"},
    {"gz-checksum-cut", kIdx, "found the end of the file, expected more of its gzip stream"},
    {"gz-checksum-wrong", kIdx, "found incorrect data check, expected compressed data"},
    {"gz-bytes-after-the-end", kIdx,
     "found more bytes, expected the end of the file after its gzip stream"},
    {"gz-content-oversized", kIdx,
     "(decompressed): byte 24: found more bytes, expected the end of the file after 24 bytes"},
    {"gz-bomb", kIdx, "byte 4: found dimensions [60000, 10000, 10000], expected no more than"},
    {"npy-other-file-type", kNpy,
     "train_x.npy: byte 0: found another file type, expected \\x93NUMPY"},
    {"npy-version-9", kNpy,
     "train_x.npy: byte 6: found format version 9.0, expected 1.0, 2.0 or 3.0"},
    {"npy-header-too-long", kNpy,
     "train_x.npy: byte 8: found a header of 65535 bytes, expected at most"},
    {"npy-header-no-dictionary", kNpy,
     "train_x.npy: byte 10: found '[', expected '{' in the header"},
    {"npy-header-without-shape", kNpy,
     "byte 10: found a header without descr, fortran_order or shape, expected all three"},
    {"npy-fortran-order", kNpy, "found Fortran order, expected fortran_order: False"},
    {"npy-big-endian", kNpy,
     "byte 20: found type '>f4', expected '|u1', '<i4', '<i8', '<f4' or '<f8'"},
    {"npy-objects", kNpy, "found type '|O', expected '|u1'"},
    {"npy-negative-shape", kNpy, "found '-3), }      ' in shape, expected at most 8 whole numbers"},
    {"npy-shape-overflow", kNpy,
     "found 6 bytes of elements, expected an impossible number for shape [4294967296, 4294967296]"},
    {"npy-truncated", kNpy,
     "train_x.npy: byte 133: found 5 bytes of elements, expected 6 for shape [2, 3]"},
    {"npy-oversized", kNpy,
     "train_x.npy: byte 134: found 8 bytes of elements, expected 6 for shape [2, 3]"},
    {"npy-no-samples", kNpy,
     "train_x.npy: byte 0: found shape [0, 9223372036854775807, 9223372036854775807], expected [n, "
     "features]"},
    {"npy-counts-differ", kNpy,
     "train_y.npy: byte 0: found shape [3], expected [2], as many as samples in"},
    {"npy-negative-label", kNpy, "train_y.npy: byte 132: found label -1, expected 0 to 999999"},
    {"npy-infinite-target", kNpy,
     "train_y.npy: byte 132: found target inf, expected a finite number"},
    {"npy-unknown-test-label", kNpy,
     "test_y.npy: byte 136: found label 2, expected 0 to 1, the largest in"},
    {"npy-labels-then-targets", kNpy, "test_y.npy: byte 0: found 1 outputs, expected 0 as in"},
    {"npz-no-end-record", kNpy, "expected a ZIP end record (PK 05 06) before it"},
    {"npz-array-missing", kNpy, "train.npz: no array y.npy in the archive; save it"},
    {"npz-checksum", kNpy, "found CRC-32"},
    {"npz-stored-checksum", kNpy, "found CRC-32"},
    {"npz-bzip2", kNpy, "found compression method 12, expected 0 (stored) or 8 (deflated)"},
    {"npz-encrypted", kNpy, "found an encrypted entry, expected a plain one"},
    {"npz-content-too-short", kNpy, "found a content of 134 bytes for x.npy, expected 139"},
    {"npz-content-too-long", kNpy, "found a content of 129 or more bytes for x.npy, expected 129"},
    {"npz-bomb", kNpy, "found a content of 1073741958 bytes, expected no more than"},
    {"npz-directory-misplaced", kNpy, "found a directory of 102 bytes at"},
    {"cifar-truncated", kCifar,
     "data_batch_1.bin: byte 100: found the end of the file, expected a size of whole records of "
     "3073 bytes"},
    {"cifar-label-10", kCifar, "data_batch_1.bin: byte 0: found label 10, expected 0 to 9"},
    {"cifar-batch-missing", kCifar, "data_batch_2.bin: cannot be opened", ErrorCode::kUser},
    {"tokens-half-a-token", kTokens,
     "tokens.bin: byte 81: found the end of the file, expected a size of whole tokens of 2 bytes"},
    {"tokens-beyond-vocabulary", kTokens, "tokens.bin: byte 66: found token 99, expected 0 to 9"},
    {"tokens-too-few", kTokens, "found the end after 4 tokens, expected at least 5"},
    {"tokens-of-another-type", kTokens, "tokens.bin: byte 0: found token 65535, expected 0 to 9"},
    {"text-empty", kText, "text.txt: byte 0: found the end after 0 tokens, expected at least 5"},
    {"text-evaluation-too-short", kText,
     "text.txt (its last tenth): byte 3: found the end after 3 tokens, expected at least 5"},
};

const std::string kFolder = LONGSTRIDE_SOURCE_DIR "/tests/runtime/data/broken/";

class BrokenFiles : public testing::TestWithParam<Case> {};

TEST_P(BrokenFiles, GiveOneClearMessage) {
  DataSpec spec;
  spec.format = GetParam().format;
  spec.path = kFolder + GetParam().folder;
  spec.context = 4;
  spec.vocabulary = 10;
  if (spec.format == kTokens) spec.path += "/tokens.bin";
  if (spec.format == kText) spec.path += "/text.txt";
  const auto pair = OpenDatasets(spec, 1);
  ASSERT_FALSE(pair.ok());
  const std::string& message = pair.error().message;
  EXPECT_EQ(pair.error().code, GetParam().code) << message;
  EXPECT_NE(message.find(GetParam().text), std::string::npos) << message;
  EXPECT_NE(message.find(GetParam().folder), std::string::npos) << "no path in: " << message;
  EXPECT_NE(message.find("; "), std::string::npos) << "no remedy in: " << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(Case, BrokenFiles, testing::ValuesIn(kCases), [](const auto& info) {
  std::string name = info.param.folder;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

TEST(BrokenFilesTable, HasARowForEveryFolder) {
  std::set<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.is_directory()) folders.insert(entry.path().filename());
  }
  std::set<std::string> rows;
  for (const Case& c : kCases) rows.insert(c.folder);
  EXPECT_EQ(folders, rows);
  EXPECT_GE(rows.size(), 30U);
}

}  // namespace
}  // namespace longstride
