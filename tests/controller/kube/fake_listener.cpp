#include "tests/controller/kube/fake_listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace longstride::kube {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return name;
}

int BoundSocket(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in name = Loopback(port);
  if (fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name)) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

X509* ReadCertificate(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free_all(bio);
  return certificate;
}

SSL_CTX* MakeContext(const FakeAuthority& authority, bool demand_client_certificate) {
  const FakeAuthority::Identity server = authority.IssueServer("kube.test");
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  X509* certificate = ReadCertificate(server.certificate_pem);
  SSL_CTX_use_certificate(context, certificate);
  X509_free(certificate);
  BIO* bio = BIO_new_mem_buf(server.key_pem.data(), static_cast<int>(server.key_pem.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  SSL_CTX_use_PrivateKey(context, key);
  EVP_PKEY_free(key);
  BIO_free_all(bio);
  X509* root = ReadCertificate(authority.certificate_pem());
  X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root);
  X509_free(root);
  SSL_CTX_set_verify(
      context, SSL_VERIFY_PEER | (demand_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
      nullptr);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  return context;
}

}  // namespace

Result<std::unique_ptr<FakeListener>> FakeListener::Start(const FakeAuthority& authority,
                                                          bool demand_client_certificate,
                                                          Serve serve) {
  signal(SIGPIPE, SIG_IGN);  // a peer that has gone is a failed write, not our end
  std::unique_ptr<FakeListener> listener(new FakeListener);
  listener->context_ = MakeContext(authority, demand_client_certificate);
  listener->serve_ = std::move(serve);
  listener->guard_ = BoundSocket(0);
  sockaddr_in name{};
  socklen_t size = sizeof(name);
  if (listener->guard_ < 0 ||
      getsockname(listener->guard_, reinterpret_cast<sockaddr*>(&name), &size) != 0) {
    return ResourceError("no free port on loopback");
  }
  listener->port_ = ntohs(name.sin_port);
  LONGSTRIDE_RETURN_IF_ERROR(listener->Listen());
  return listener;
}

FakeListener::~FakeListener() {
  Stop();
  if (guard_ >= 0) close(guard_);
  SSL_CTX_free(context_);
}

Status FakeListener::Listen() {
  listening_ = BoundSocket(port_);
  if (listening_ < 0 || listen(listening_, SOMAXCONN) != 0) {
    return ResourceError("the port cannot be listened on");
  }
  acceptor_ = std::thread([this, fd = listening_] { Accept(fd); });
  return {};
}

void FakeListener::Accept(int listening) {
  while (true) {
    const int fd = accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ++connections_;
    Reap(/*all=*/false);
    const std::lock_guard lock(mutex_);
    Served& served = served_.emplace_back();
    served.connection = std::make_unique<FakeConnection>(context_, fd);
    served.thread = std::thread([this, &served] {
      if (served.connection->Handshake()) serve_(*served.connection);
      served.connection->Shutdown();
      served.done = true;
    });
  }
}

void FakeListener::Reap(bool all) {
  std::list<Served> ended;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = served_.begin(); it != served_.end();) {
      const auto next = std::next(it);
      if (all) it->connection->Shutdown();
      if (all || it->done) ended.splice(ended.end(), served_, it);
      it = next;
    }
  }
  for (Served& served : ended) served.thread.join();
}

void FakeListener::ResetConnections() {
  {
    const std::lock_guard lock(mutex_);
    for (Served& served : served_) served.connection->Reset();
  }
  Reap(/*all=*/true);
}

void FakeListener::Pause() {
  if (!acceptor_.joinable()) return;
  shutdown(listening_, SHUT_RDWR);
  acceptor_.join();
  close(listening_);
  Reap(/*all=*/true);
}

void FakeListener::Resume() {
  if (!acceptor_.joinable() && !Listen().ok()) std::terminate();
}

void FakeListener::Stop() {
  Pause();
  Reap(/*all=*/true);
}

}  // namespace longstride::kube
