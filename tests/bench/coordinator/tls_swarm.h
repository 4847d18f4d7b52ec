// Many HTTPS clients in one thread, each with a connection of its own that is kept open: what a
// thousand workers look like to a server. For benchmarks.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace longstride {

class TlsSwarm {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // Sees what client `index` was answered, before its next request is sent. It may call Ask.
  using Answered = std::function<void(int index, bool ok, std::string_view body)>;

  // Certificates are not verified: this measures the server.
  TlsSwarm(uint16_t port, int clients);
  ~TlsSwarm();

  // Sends `request` (whole HTTP text) from client `index` as soon as it is free; `due` is when it
  // was meant to be sent, from which the delay is counted.
  void Ask(int index, std::string request, Time due);
  void OnAnswer(Answered answered) { answered_ = std::move(answered); }
  // Closes every connection; the next request opens a new one.
  void Disconnect();
  // Does what can be done until `until`.
  void RunUntil(Time until);

  [[nodiscard]] int busy() const { return busy_; }
  [[nodiscard]] int64_t failures() const { return failures_; }
  // Seconds from `due` to the answer, of all requests since the last call.
  [[nodiscard]] std::vector<double> TakeDelays() { return std::exchange(delays_, {}); }

 private:
  struct Client;
  void Advance(Client& client);
  void Open(Client& client);
  void Close(Client& client);
  void Wait(Client& client, int result);
  bool TakeAnswer(Client& client);
  void Tell(int index, const std::string& answer);

  const uint16_t port_;
  SSL_CTX* const context_;
  const int epoll_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<double> delays_;
  Answered answered_;
  int busy_ = 0;
  int64_t failures_ = 0;
};

}  // namespace longstride
