#include "runtime/collective/address.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "core/base/format.h"

namespace longstride {
namespace {

// Connecting a UDP socket only makes the kernel choose a route and with it the source address.
Result<std::string> SourceAddress(const addrinfo& target) {
  const int fd = socket(target.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  char text[NI_MAXHOST] = {};
  const bool ok = fd >= 0 && connect(fd, target.ai_addr, target.ai_addrlen) == 0 &&
                  getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
                  getnameinfo(reinterpret_cast<sockaddr*>(&own), length, text, sizeof text, nullptr,
                              0, NI_NUMERICHOST) == 0;
  const int error = errno;
  if (fd >= 0) close(fd);
  if (!ok) return TransientError(std::strerror(error));
  return std::string(text);
}

}  // namespace

Result<std::string> AddressTowards(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, freeaddrinfo);
  if (error != 0) {
    const ErrorCode code = error == EAI_NONAME ? ErrorCode::kUser : ErrorCode::kTransient;
    return Error{code, Format("cannot resolve '%s': %s", host.c_str(), gai_strerror(error))};
  }
  std::string reason;
  for (const addrinfo* target = list; target; target = target->ai_next) {
    auto address = SourceAddress(*target);
    if (address.ok()) return address;
    reason = address.error().message;
  }
  return TransientError(Format("no route to '%s': %s", host.c_str(), reason.c_str()));
}

}  // namespace longstride
