// NumPy arrays: .npy files (format versions 1 to 3) and .npz archives of them.
#pragma once

#include "runtime/data/bytes.h"
#include "runtime/data/dataset.h"
#include "runtime/data/dense_dataset.h"

namespace longstride::data {

struct NpyArray {
  ElementType type = ElementType::kUint8;
  std::vector<int64_t> shape;  // each >= 0; empty for a scalar
  uint64_t data_offset = 0;    // where elements begin, for messages
  Bytes elements;              // C order, little-endian
};

// Parses a whole .npy file. Types '<f4', '<f8', '|u1', '<i4', '<i8'. `name` is for messages.
[[nodiscard]] Result<NpyArray> ParseNpy(const Bytes& file, const std::string& name);

// The folder `spec.path` with train_x.npy, train_y.npy, test_x.npy, test_y.npy, or with train.npz
// and test.npz, each holding arrays x and y. x is [n, features...]. Integer y [n] are labels, at
// least 0; floating-point y [n] or [n, outputs] are regression targets. x of shape [n, height,
// width] becomes images of one channel. Floating-point arrays are read once from end to end, for
// kData where a value is not finite.
[[nodiscard]] Result<DatasetPair> OpenNpyDatasets(const DataSpec& spec);

}  // namespace longstride::data
