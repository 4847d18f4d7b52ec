// The TCP sockets of one generation, found from outside: Gloo offers no way to wake a blocked
// operation, but shutting its sockets down does. Connections are recognised by their end points, so
// that no other socket of the process is ever touched, and by inode, so that a reused descriptor is
// not either. IPv4 and IPv6, Linux only. All functions are thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "core/base/clock.h"

namespace longstride {

// A numeric IP address and a port.
struct Endpoint {
  std::string address;
  uint16_t port = 0;
  auto operator<=>(const Endpoint&) const = default;
};

// The TCP end points on which this process listens.
[[nodiscard]] std::set<Endpoint> Listeners();

struct SocketId {
  int fd = -1;
  ino_t inode = 0;
};

// This process's connections that were accepted on `own` or go to one of `peers`.
[[nodiscard]] std::vector<SocketId> ConnectionsOf(const Endpoint& own,
                                                  const std::set<Endpoint>& peers);

struct SocketVitals {
  // A peer has closed or reset its side, the socket is gone, or what was sent is not acknowledged.
  bool any_closed = false;
  uint64_t bytes_moved = 0;  // received, or sent and acknowledged, since the sockets were opened
};
// A peer's kernel acknowledges what it gets at once, however busy the peer is. So data that is not
// acknowledged for longer than `unacknowledged` says that the connection is cut; the kernel itself
// gives up only after a quarter of an hour.
[[nodiscard]] SocketVitals CheckVitals(const std::vector<SocketId>& sockets,
                                       Duration unacknowledged = std::chrono::seconds(60));

// Shuts both directions down; never closes. Sockets that are gone are skipped.
void ShutdownAll(const std::vector<SocketId>& sockets);

}  // namespace longstride
