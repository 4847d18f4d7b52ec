// IDX files, the format of MNIST and its relatives: big-endian magic number 00 00 TT RR (element
// type, rank), RR big-endian 32-bit dimensions, elements in C order. Only unsigned bytes (TT = 08)
// are read.
#pragma once

#include "runtime/data/bytes.h"
#include "runtime/data/dataset.h"

namespace longstride::data {

struct IdxArray {
  std::vector<int64_t> dimensions;  // each >= 1
  Bytes elements;                   // their product, unsigned bytes
};

// Parses a whole file of rank `rank`, plain or gzip-compressed (told apart by its first bytes). The
// header says how large the content must be, so decompression is bounded by it. `name` is for
// messages.
[[nodiscard]] Result<IdxArray> ParseIdx(const Bytes& file, const std::string& name, int rank);

// The folder `spec.path` with MNIST's file names, train-images-idx3-ubyte, train-labels-idx1-ubyte
// and the same with t10k, each plain or .gz. Shape {1, height, width}; classes = spec.classes, or
// the largest training label + 1.
[[nodiscard]] Result<DatasetPair> OpenIdxDatasets(const DataSpec& spec);

}  // namespace longstride::data
