// Which collective backend the members of a generation use.
#pragma once

#include <string>
#include <vector>

#include "core/protocol/messages.h"

namespace longstride {

// "nccl" if all members have CUDA devices of their own with the same, known version of the
// collective library, else "gloo", which also serves mixed jobs and members that share a device.
[[nodiscard]] std::string ChooseBackend(const std::vector<WorkerProfile>& profiles);

}  // namespace longstride
