// Which backend the members of a generation use. Every member must come to the same answer, so it
// is a function of what all of them said when they joined.
#pragma once

#include <span>
#include <string>

namespace longstride {

struct MemberDevice {
  bool cuda = false;
  std::string version;  // of CUDA and NCCL, e.g. "cuda 13.2, nccl 2.28.9"; empty without CUDA
};

enum class CollectiveBackend { kGloo, kNccl };

// NCCL if and only if every member trains on CUDA with the same, known version; otherwise Gloo,
// which works everywhere (tensors on a GPU then go through host memory).
[[nodiscard]] CollectiveBackend ChooseBackend(std::span<const MemberDevice> members);

}  // namespace longstride
