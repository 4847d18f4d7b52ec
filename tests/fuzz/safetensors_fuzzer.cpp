// Any bytes as a safetensors file: tensors that lie in the file and fit their shapes, or an error.
// What was accepted is written and must be accepted again with the same tensors.
#include <cstdlib>

#include "runtime/checkpoint/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longstride::checkpoint;  // NOLINT: one function
  namespace ls_data = longstride::data;
  const auto parsed =
      Safetensors::Parse(ls_data::OwnBytes(std::vector<uint8_t>(data, data + size)), "fuzz");
  if (!parsed.ok()) return 0;
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : parsed->tensors()) views.push_back(tensor);
  std::vector<uint8_t> written;
  const auto status = WriteSafetensors(views, [&](std::span<const uint8_t> bytes) {
    written.insert(written.end(), bytes.begin(), bytes.end());
    return longstride::Status();
  });
  if (!status.ok()) std::abort();
  const auto again = Safetensors::Parse(ls_data::OwnBytes(std::move(written)), "again");
  if (!again.ok() || again->tensors().size() != views.size()) std::abort();
  for (const TensorView& view : views) {
    const auto found = again->Find(view.name, view.type, view.shape);
    if (!found.ok() || !std::equal(view.data.begin(), view.data.end(), found->data.begin())) {
      std::abort();
    }
  }
  return 0;
}
