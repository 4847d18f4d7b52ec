// Accepts connections on loopback, each on a thread of its own. Thread-safe.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "core/base/result.h"
#include "tests/controller/kube/fake_authority.h"
#include "tests/controller/kube/fake_connection.h"

namespace longstride::kube {

class FakeListener {
 public:
  // Serves a connection to its end. Called on the connection's thread after the handshake.
  using Serve = std::function<void(FakeConnection& connection)>;

  // Listens at a free port when this returns. Client certificates are asked for and, if `demand`,
  // demanded.
  [[nodiscard]] static Result<std::unique_ptr<FakeListener>> Start(const FakeAuthority& authority,
                                                                   bool demand_client_certificate,
                                                                   Serve serve);
  ~FakeListener();

  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] int64_t connections() const { return connections_; }
  // Resets the connections there are.
  void ResetConnections();
  // Refuses new connections and cuts those there are. The port stays ours.
  void Pause();
  void Resume();
  // Pause, for good, and waits for the threads.
  void Stop();

 private:
  struct Served {
    std::unique_ptr<FakeConnection> connection;
    std::thread thread;
    std::atomic<bool> done{false};
  };

  FakeListener() = default;
  [[nodiscard]] Status Listen();
  void Accept(int listening);
  void Reap(bool all);

  SSL_CTX* context_ = nullptr;
  Serve serve_;
  uint16_t port_ = 0;
  int guard_ = -1;  // bound to the port but not listening: keeps it ours while paused
  int listening_ = -1;
  std::atomic<int64_t> connections_{0};
  std::thread acceptor_;
  std::mutex mutex_;
  std::list<Served> served_;
};

}  // namespace longstride::kube
