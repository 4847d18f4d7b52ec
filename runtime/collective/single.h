// The collective of a generation with one member: no network, no thread, no copies.
#pragma once

#include <memory>

#include "runtime/collective/collective.h"

namespace longstride {

[[nodiscard]] std::unique_ptr<Collective> MakeSingleCollective();

}  // namespace longstride
