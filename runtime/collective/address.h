// The address that this machine offers to its peers.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/result.h"

namespace longstride {

// The local IP address, as text, from which the kernel would send to `host` (a name or an IPv4 or
// IPv6 address). Peers that reach that host's network reach this address; towards loopback it is
// loopback. Sends nothing, but may ask a name server. kUser: no such host. kTransient: no answer
// from the name server, or no route at the moment.
[[nodiscard]] Result<std::string> AddressTowards(const std::string& host, uint16_t port);

}  // namespace longstride
