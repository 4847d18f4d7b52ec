#include "tests/bench/coordinator/tls_swarm.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <system_error>

namespace longstride {

struct TlsSwarm::Client {
  int fd = -1;
  SSL* ssl = nullptr;
  bool connected = false;  // the handshake is done
  std::deque<std::pair<std::string, Time>> queue;
  size_t written = 0;  // of the first in the queue
  std::string answer;
  int index = 0;
};

TlsSwarm::TlsSwarm(uint16_t port, int clients)
    : port_(port), context_(SSL_CTX_new(TLS_client_method())), epoll_(epoll_create1(0)) {
  for (int i = 0; i < clients; ++i) {
    clients_.push_back(std::make_unique<Client>());
    clients_.back()->index = i;
  }
}

TlsSwarm::~TlsSwarm() {
  Disconnect();
  SSL_CTX_free(context_);
  close(epoll_);
}

void TlsSwarm::Ask(int index, std::string request, Time due) {
  Client& client = *clients_[static_cast<size_t>(index)];
  client.queue.emplace_back(std::move(request), due);
  if (client.queue.size() > 1) return;
  ++busy_;
  Advance(client);
}

void TlsSwarm::Disconnect() {
  for (auto& client : clients_) Close(*client);
}

void TlsSwarm::Open(Client& client) {
  client.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (client.fd < 0) throw std::system_error(errno, std::generic_category(), "socket");
  const int on = 1;
  setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port_);
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  (void)connect(client.fd, reinterpret_cast<sockaddr*>(&name), sizeof(name));
  client.ssl = SSL_new(context_);
  SSL_set_fd(client.ssl, client.fd);
  SSL_set_connect_state(client.ssl);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET;
  event.data.ptr = &client;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd, &event);
}

void TlsSwarm::Close(Client& client) {
  if (client.fd < 0) return;
  SSL_free(client.ssl);
  close(client.fd);
  client.fd = -1;
  client.ssl = nullptr;
  client.connected = false;
  client.written = 0;
  client.answer.clear();
}

// A connection that failed is opened anew, and the request sent again.
void TlsSwarm::Wait(Client& client, int result) {
  const int error = SSL_get_error(client.ssl, result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
  ++failures_;
  Close(client);
  Open(client);
}

bool TlsSwarm::TakeAnswer(Client& client) {
  const size_t head = client.answer.find("\r\n\r\n");
  if (head == std::string::npos) return false;
  const size_t length_at = client.answer.find("Content-Length: ");
  if (length_at == std::string::npos || length_at > head) return false;
  const auto length = std::stoul(client.answer.substr(length_at + 16, 20));
  if (client.answer.size() < head + 4 + length) return false;
  if (!client.answer.starts_with("HTTP/1.1 200")) ++failures_;
  return true;
}

void TlsSwarm::Tell(int index, const std::string& answer) {
  const std::string_view body = std::string_view(answer).substr(answer.find("\r\n\r\n") + 4);
  answered_(index, answer.starts_with("HTTP/1.1 200"), body);
}

void TlsSwarm::Advance(Client& client) {
  if (client.fd < 0 && client.queue.empty()) return;
  if (client.fd < 0) Open(client);
  ERR_clear_error();
  if (!client.connected) {
    const int done = SSL_do_handshake(client.ssl);
    if (done != 1) return Wait(client, done);
    client.connected = true;
  }
  while (true) {
    if (!client.queue.empty() && client.written < client.queue.front().first.size()) {
      const std::string& request = client.queue.front().first;
      const int n = SSL_write(client.ssl, request.data() + client.written,
                              static_cast<int>(request.size() - client.written));
      if (n <= 0) return Wait(client, n);
      client.written += static_cast<size_t>(n);
      continue;
    }
    std::array<char, 16384> buffer;
    const int n = SSL_read(client.ssl, buffer.data(), static_cast<int>(buffer.size()));
    if (n <= 0) {
      if (!client.queue.empty() || SSL_get_error(client.ssl, n) != SSL_ERROR_ZERO_RETURN)
        return Wait(client, n);
      return Close(client);
    }
    client.answer.append(buffer.data(), static_cast<size_t>(n));
    if (client.queue.empty() || !TakeAnswer(client)) continue;
    const auto delay = std::chrono::steady_clock::now() - client.queue.front().second;
    delays_.push_back(std::chrono::duration<double>(delay).count());
    const std::string answer = std::exchange(client.answer, {});
    client.written = 0;
    client.queue.pop_front();
    if (client.queue.empty()) --busy_;
    // Last, as it may ask anew; this loop then sends it.
    if (answered_) Tell(client.index, answer);
  }
}

void TlsSwarm::RunUntil(Time until) {
  std::array<epoll_event, 256> events;
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                             std::max<int>(0, static_cast<int>(left.count())));
    for (int i = 0; i < n; ++i)
      Advance(*static_cast<Client*>(events[static_cast<size_t>(i)].data.ptr));
    if (n <= 0 && left.count() <= 0) return;
    if (std::chrono::steady_clock::now() >= until) return;
  }
}

}  // namespace longstride
