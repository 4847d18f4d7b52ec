// One accepted TLS connection and HTTP/1.1 on it, blocking. Used by one thread; Shutdown by any.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace longstride::kube {

struct FakeRequest {
  std::string method;
  std::string path;                            // percent-decoded
  std::map<std::string, std::string> query;    // decoded
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  [[nodiscard]] std::string Query(const std::string& name) const;
  [[nodiscard]] std::string Header(const std::string& name) const;
};

class FakeConnection {
 public:
  // Takes the socket over.
  FakeConnection(SSL_CTX* context, int socket);
  ~FakeConnection();
  FakeConnection(const FakeConnection&) = delete;
  FakeConnection& operator=(const FakeConnection&) = delete;

  bool Handshake();
  // Nothing at the connection's end or when what came is no request.
  std::optional<FakeRequest> ReadRequest();
  bool Write(const std::string& bytes);
  // From now on writes go out in pieces of that many bytes, 0 for whole.
  void Dribble(size_t bytes) { piece_bytes_ = bytes; }
  bool WriteResponse(int status, const std::string& body, const std::string& more_headers = "");
  // For poll: becomes readable when the peer closes while we write a stream.
  [[nodiscard]] int socket() const { return socket_; }
  // Ends the peer's reads and all of ours. From any thread.
  void Shutdown();
  // Ends our reads; the peer is told with a reset (RFC 9293, 3.5.2) when this is destroyed. From
  // any thread, before Shutdown().
  void Reset();

 private:
  const int socket_;
  SSL* const ssl_;
  std::string buffer_;
  size_t piece_bytes_ = 0;
  std::atomic<bool> reset_{false};
};

}  // namespace longstride::kube
