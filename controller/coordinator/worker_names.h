// How the coordinator's files name workers, to people and in errors.
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/protocol/messages.h"
#include "core/spec/places.h"

namespace longstride {

inline WorkerPlace PlaceOf(const WorkerId& id) {
  return {id.group, id.index};
}

inline std::string NameOf(const WorkerPlace& place) {
  return "worker " + place.Name();
}

inline Error FencedError() {
  return LostPeerError(
      "this worker was given up for lost, or another incarnation of it has taken its place");
}

}  // namespace longstride
