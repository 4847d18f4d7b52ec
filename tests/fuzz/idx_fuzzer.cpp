// Any bytes as an IDX file, plain or gzip: an array whose sizes agree, or an error.
#include <cstdlib>

#include "runtime/data/idx.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using longstride::data::OwnBytes;
  const auto file = OwnBytes(std::vector<uint8_t>(data, data + size));
  for (const int rank : {1, 3}) {
    const auto array = longstride::data::ParseIdx(file, "fuzz", rank);
    if (!array.ok()) continue;
    int64_t elements = 1;
    for (int64_t extent : array->dimensions) elements *= extent;
    if (static_cast<uint64_t>(elements) != array->elements.size()) std::abort();
  }
  return 0;
}
