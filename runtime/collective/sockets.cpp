#include "runtime/collective/sockets.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>

namespace longstride {
namespace {

std::vector<int> OpenDescriptors() {
  std::vector<int> fds;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir("/proc/self/fd"), closedir);
  if (!dir) return fds;
  while (const dirent* entry = readdir(dir.get())) {
    if (entry->d_name[0] != '.') fds.push_back(std::atoi(entry->d_name));
  }
  return fds;
}

std::optional<Endpoint> ToEndpoint(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
    return Endpoint{text, ntohs(in.sin_port)};
  }
  if (address.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
    return Endpoint{text, ntohs(in.sin6_port)};
  }
  return std::nullopt;
}

using NameFunction = int (*)(int, sockaddr*, socklen_t*);

std::optional<Endpoint> Name(NameFunction which, int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (which(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return std::nullopt;
  return ToEndpoint(address);
}

bool IsListener(int fd) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value != 0;
}

bool IsStill(const SocketId& socket) {
  struct stat status {};
  return fstat(socket.fd, &status) == 0 && S_ISSOCK(status.st_mode) &&
         status.st_ino == socket.inode;
}

constexpr int kEstablished = 1;  // TCP_ESTABLISHED; its header clashes with the one of tcp_info

bool IsCut(const tcp_info& info, Duration limit) {
  const auto quiet = std::chrono::milliseconds(
      std::min(info.tcpi_last_ack_recv, info.tcpi_last_data_sent));  // retransmissions not counted
  return info.tcpi_unacked > 0 && quiet > limit;
}

}  // namespace

std::set<Endpoint> Listeners() {
  std::set<Endpoint> found;
  for (const int fd : OpenDescriptors()) {
    if (!IsListener(fd)) continue;
    if (const auto own = Name(getsockname, fd)) found.insert(*own);
  }
  return found;
}

std::vector<SocketId> ConnectionsOf(const Endpoint& own, const std::set<Endpoint>& peers) {
  std::vector<SocketId> found;
  for (const int fd : OpenDescriptors()) {
    const auto local = Name(getsockname, fd);
    const auto remote = Name(getpeername, fd);
    struct stat status {};
    if (!local || !remote || (*local != own && !peers.contains(*remote))) continue;
    if (fstat(fd, &status) == 0) found.push_back({fd, status.st_ino});
  }
  return found;
}

SocketVitals CheckVitals(const std::vector<SocketId>& sockets, Duration unacknowledged) {
  SocketVitals vitals;
  for (const SocketId& socket : sockets) {
    tcp_info info{};
    socklen_t length = sizeof info;
    if (!IsStill(socket) || getsockopt(socket.fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) {
      vitals.any_closed = true;
      continue;
    }
    vitals.any_closed |= info.tcpi_state != kEstablished || IsCut(info, unacknowledged);
    vitals.bytes_moved += info.tcpi_bytes_received + info.tcpi_bytes_acked;
  }
  return vitals;
}

void ShutdownAll(const std::vector<SocketId>& sockets) {
  for (const SocketId& socket : sockets) {
    if (IsStill(socket)) shutdown(socket.fd, SHUT_RDWR);
  }
}

}  // namespace longstride
