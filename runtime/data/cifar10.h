// CIFAR-10's binary version [Krizhevsky 2009]: records of one label byte and 3 x 32 x 32 pixels,
// planes red, green, blue.
#pragma once

#include "runtime/data/dataset.h"

namespace longstride::data {

// The folder `spec.path` with data_batch_1.bin to data_batch_5.bin and test_batch.bin, each any
// number of whole records. Shape {3, 32, 32}, ten classes.
[[nodiscard]] Result<DatasetPair> OpenCifar10Datasets(const DataSpec& spec);

}  // namespace longstride::data
