#include "runtime/membership/tether.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "core/base/format.h"
#include "runtime/membership/peer_silence.h"

namespace longstride {
namespace {

constexpr size_t kMostGuests = 4096;

class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

struct SocketAddress {
  sockaddr_storage bytes{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&bytes); }
};

std::optional<SocketAddress> NumericAddress(const std::string& address, int64_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  if (getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &list) != 0) return {};
  SocketAddress result;
  std::memcpy(&result.bytes, list->ai_addr, list->ai_addrlen);
  result.length = list->ai_addrlen;
  freeaddrinfo(list);
  return result;
}

Socket NewSocket(const SocketAddress& address) {
  return Socket(socket(address.get()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

// A ping must not wait for the answer to the one before.
void SendAtOnce(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool MayComeLater(ssize_t n) {
  return n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN);
}

}  // namespace

class Tether::Loop {
 public:
  Loop(Socket listener, int64_t port, std::function<void()> changed, TetherOptions options)
      : listener_(std::move(listener)),
        wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
        port_(port),
        changed_(std::move(changed)),
        options_(options),
        silence_(options.limit, clock_.Now()),
        thread_([this] { Run(); }) {}
  ~Loop() { Stop(); }

  [[nodiscard]] int64_t port() const { return port_; }

  void Watch(const Generation& generation) {
    {
      const std::lock_guard lock(mutex_);
      next_ = generation;
      generation_ = generation.id;
      silent_.clear();
    }
    Wake();
  }

  [[nodiscard]] std::vector<int64_t> Silent(GenerationId generation) const {
    const std::lock_guard lock(mutex_);
    return generation == generation_ ? silent_ : std::vector<int64_t>();
  }

  void Stop() {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    Wake();
    if (thread_.joinable()) thread_.join();
  }

 private:
  struct Peer {
    int64_t rank = 0;
    std::string address;
    int64_t port = 0;
    Socket socket;
    bool connecting = false;
    TimePoint opened;
  };
  struct Guest {  // pings us
    Socket socket;
    TimePoint heard;
  };

  void Wake() const {
    const uint64_t one = 1;
    (void)!write(wake_.fd(), &one, sizeof one);
  }

  void Run() {
    TimePoint ping = clock_.Now();
    while (true) {
      if (!TakeOrders()) return;
      const TimePoint now = clock_.Now();
      if (now >= ping) {
        for (size_t i = 0; i < peers_.size(); ++i) Ping(i, now);
        ping = now + options_.ping;
        no_descriptors_ = false;
        std::erase_if(guests_, [&](const Guest& g) { return now - g.heard > 5 * options_.limit; });
      }
      if (silence_.Look(now)) Tell();
      Serve(std::min<Duration>(ping - now, options_.limit / 16));
    }
  }

  // What Watch and Stop have asked for. False: the end.
  bool TakeOrders() {
    std::optional<Generation> generation;
    {
      const std::lock_guard lock(mutex_);
      if (closing_) return false;
      generation = std::exchange(next_, std::nullopt);
    }
    if (!generation) return true;
    std::vector<Peer> peers;
    const TimePoint now = clock_.Now();
    PeerSilence silence(options_.limit, now);
    for (size_t r = 0; r < generation->members.size(); ++r) {
      const Member& member = generation->members[r];
      const auto rank = static_cast<int64_t>(r);
      if (rank == generation->rank || member.tether_port == 0) continue;
      const auto known = std::ranges::find_if(peers_, [&](const Peer& p) {
        return p.address == member.address && p.port == member.tether_port;
      });
      if (known == peers_.end()) {
        silence.Add(now);
        peers.push_back({rank, member.address, member.tether_port, Socket(), false, now});
      } else {
        silence.Add(silence_, static_cast<size_t>(known - peers_.begin()));
        peers.push_back(std::move(*known));
        peers.back().rank = rank;
      }
    }
    silence.Look(now);
    peers_ = std::move(peers);
    silence_ = std::move(silence);
    Tell();
    return true;
  }

  void Tell() {
    {
      const std::lock_guard lock(mutex_);
      if (next_) return;  // another generation is to be watched by now
      silent_.clear();
      for (size_t i = 0; i < peers_.size(); ++i) {
        if (silence_.IsSilent(i)) silent_.push_back(peers_[i].rank);
      }
    }
    if (changed_) changed_();
  }

  void Ping(size_t index, TimePoint now) {
    Peer& peer = peers_[index];
    // TCP repeats what was lost ever more rarely; a new connection is quicker once the way is free.
    const bool stale = now - std::max(peer.opened, silence_.heard(index)) > options_.limit / 2;
    if (peer.socket.fd() < 0 || stale) {
      Open(peer, now);
    } else if (!peer.connecting) {
      SendPing(peer);
    }
  }

  static void SendPing(const Peer& peer) {
    const char byte = 'p';
    (void)!send(peer.socket.fd(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  static void Open(Peer& peer, TimePoint now) {
    peer.opened = now;
    peer.socket = Socket();
    const auto address = NumericAddress(peer.address, peer.port);
    if (!address) return;
    peer.socket = NewSocket(*address);
    if (peer.socket.fd() < 0) return;
    SendAtOnce(peer.socket.fd());
    peer.connecting = true;
    if (connect(peer.socket.fd(), address->get(), address->length) != 0 && errno != EINPROGRESS)
      peer.socket = Socket();
  }

  void Serve(Duration patience) {
    // poll passes over negative descriptors.
    std::vector<pollfd> fds = {{no_descriptors_ ? -1 : listener_.fd(), POLLIN, 0},
                               {wake_.fd(), POLLIN, 0}};
    for (const Peer& p : peers_)
      fds.push_back({p.socket.fd(), static_cast<short>(p.connecting ? POLLOUT : POLLIN), 0});
    for (const Guest& g : guests_) fds.push_back({g.socket.fd(), POLLIN, 0});
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(std::max(patience, Duration{}));
    if (poll(fds.data(), fds.size(), static_cast<int>(wait.count())) <= 0) return;
    uint64_t ignored = 0;
    (void)!read(wake_.fd(), &ignored, sizeof ignored);
    const TimePoint now = clock_.Now();
    for (size_t i = 0; i < peers_.size(); ++i) {
      if (fds[2 + i].revents != 0) Listen(i, now);
    }
    size_t place = 2 + peers_.size();
    for (auto guest = guests_.begin(); guest != guests_.end(); ++place) {
      const bool stays = fds[place].revents == 0 || Echo(*guest, now);
      guest = stays ? std::next(guest) : guests_.erase(guest);
    }
    if (fds[0].revents != 0) Accept(now);
  }

  void Listen(size_t index, TimePoint now) {
    Peer& peer = peers_[index];
    if (peer.connecting) {
      int error = 0;
      socklen_t length = sizeof error;
      getsockopt(peer.socket.fd(), SOL_SOCKET, SO_ERROR, &error, &length);
      peer.connecting = false;
      if (error == 0) return SendPing(peer);
      peer.socket = Socket();
      return;
    }
    char bytes[64];
    const ssize_t n = recv(peer.socket.fd(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0) silence_.Heard(index, now);
    if (n <= 0 && !MayComeLater(n)) peer.socket = Socket();
  }

  // False when the guest is gone.
  static bool Echo(Guest& guest, TimePoint now) {
    char bytes[64];
    const ssize_t n = recv(guest.socket.fd(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (n <= 0) return MayComeLater(n);
    guest.heard = now;
    return send(guest.socket.fd(), bytes, static_cast<size_t>(n), MSG_NOSIGNAL | MSG_DONTWAIT) == n;
  }

  void Accept(TimePoint now) {
    while (true) {
      Socket guest(accept4(listener_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (guest.fd() < 0) {
        no_descriptors_ = errno == EMFILE || errno == ENFILE;
        return;
      }
      SendAtOnce(guest.fd());
      if (guests_.size() < kMostGuests) guests_.push_back({std::move(guest), now});
    }
  }

  const Socket listener_;
  const Socket wake_;
  const int64_t port_;
  const std::function<void()> changed_;
  const TetherOptions options_;
  const SystemClock clock_{};

  // Of the thread alone.
  std::vector<Peer> peers_;
  PeerSilence silence_;
  std::list<Guest> guests_;
  // Guests wait at the door, which is not looked at again before the next ping.
  bool no_descriptors_ = false;

  mutable std::mutex mutex_;
  bool closing_ = false;
  std::optional<Generation> next_;
  GenerationId generation_;
  std::vector<int64_t> silent_;

  std::thread thread_;  // the last, as it uses all of the above
};

Tether::Tether(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
Tether::~Tether() = default;

Result<std::unique_ptr<Tether>> Tether::Start(const std::string& address,
                                              std::function<void()> changed,
                                              TetherOptions options) {
  const auto fault = [&] {
    return UserError(Format("cannot listen on %s for other workers' pings: %s", address.c_str(),
                            std::strerror(errno)));
  };
  const auto own = NumericAddress(address, 0);
  if (!own) return UserError("not an IP address: " + address);
  Socket listener = NewSocket(*own);
  if (listener.fd() < 0 || bind(listener.fd(), own->get(), own->length) != 0 ||
      listen(listener.fd(), SOMAXCONN) != 0) {
    return fault();
  }
  SocketAddress bound;
  bound.length = sizeof bound.bytes;
  if (getsockname(listener.fd(), reinterpret_cast<sockaddr*>(&bound.bytes), &bound.length) != 0)
    return fault();
  const int64_t port = bound.get()->sa_family == AF_INET6
                           ? ntohs(reinterpret_cast<const sockaddr_in6*>(&bound.bytes)->sin6_port)
                           : ntohs(reinterpret_cast<const sockaddr_in*>(&bound.bytes)->sin_port);
  return std::unique_ptr<Tether>(
      new Tether(std::make_unique<Loop>(std::move(listener), port, std::move(changed), options)));
}

int64_t Tether::port() const {
  return loop_->port();
}
void Tether::Watch(const Generation& generation) {
  loop_->Watch(generation);
}
std::vector<int64_t> Tether::Silent(GenerationId generation) const {
  return loop_->Silent(generation);
}
void Tether::Stop() {
  loop_->Stop();
}

}  // namespace longstride
