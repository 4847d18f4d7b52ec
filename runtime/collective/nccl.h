// The Collective over NCCL, for generations whose members all train on CUDA devices with the same
// version (core/protocol/backend.h). Built with -DLONGSTRIDE_CUDA=ON.
#pragma once

#include <memory>
#include <string>

#include "runtime/collective/collective.h"

namespace longstride {

struct NcclOptions {
  int rank = 0;
  int size = 1;
  int device = 0;  // the CUDA device of this member; no two members may share one
  Duration connect_timeout = std::chrono::seconds(30);
  Duration timeout = kStallLimit;  // SetTimeout
};

// "2.30.7": members with unlike versions cannot form a collective.
[[nodiscard]] std::string NcclVersion();

// Connects to the other members through `store`. kResource when there is no such device. Buffers
// are host memory, as everywhere in Collective, and pass through the device.
[[nodiscard]] Result<std::unique_ptr<Collective>> MakeNcclCollective(
    const NcclOptions& options, std::shared_ptr<RendezvousStore> store);

}  // namespace longstride
