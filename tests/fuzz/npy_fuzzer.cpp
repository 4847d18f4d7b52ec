// Any bytes as a .npy file and as a .npz archive: an array whose sizes agree, or an error.
#include <cstdlib>

#include "runtime/data/npy.h"
#include "runtime/data/zip.h"

namespace {

void Parse(const longstride::data::Bytes& file) {
  const auto array = longstride::data::ParseNpy(file, "fuzz.npy");
  if (!array.ok()) return;
  uint64_t bytes = longstride::data::ElementSize(array->type);
  for (int64_t extent : array->shape) bytes *= static_cast<uint64_t>(extent);
  if (bytes != array->elements.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = longstride::data::OwnBytes(std::vector<uint8_t>(data, data + size));
  Parse(file);
  const auto archive = longstride::data::ZipArchive::Parse(file, "fuzz.npz");
  if (!archive.ok()) return 0;
  for (const char* name : {"x.npy", "y.npy"}) {
    const auto content = archive->Read(name);
    if (content.ok()) Parse(*content);
  }
  return 0;
}
