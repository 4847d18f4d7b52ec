// An HTTP/1.1 server, over TLS when it is given a certificate, over cpprestsdk's listener. Nothing
// of cpprestsdk shows, and none of its exceptions leaves: an answer that cannot be sent (the client
// has gone) is dropped.
//
// The library's limits, which we cannot mend here: it has no bound on the size of headers nor on
// how slowly they come (its configuration has a time-out, which its listener never reads), and
// reads a body to its end before an answer goes out (what is over max_body_bytes is thrown away as
// it arrives, then answered with 413). So bind it to loopback, or keep strangers away by other
// means (docs/operations.md, Network).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "controller/http/http_handler.h"
#include "controller/http/server_certificate.h"
#include "core/base/result.h"

namespace longstride {

struct HttpServerOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;                               // 0: a free one
  std::shared_ptr<ServerCertificate> certificate;  // null: without TLS
  size_t max_body_bytes = size_t{4} << 20;
  // Of bodies that are still arriving, all together; 503 beyond.
  size_t max_arriving_bytes = size_t{128} << 20;
  // Requests that have come in and are not answered, long polls included; 503 beyond.
  int64_t max_requests = 65536;
};

class HttpServer {
 public:
  // Listens when this returns. `handler` must outlive the server. kUser when the port is taken,
  // kTransient when no free one was found.
  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> Start(const HttpServerOptions& options,
                                                                 HttpHandler& handler);
  virtual ~HttpServer() = default;

  [[nodiscard]] virtual uint16_t port() const = 0;
  // No handler call begins after this returns. Idempotent; the destructor calls it. Answer what is
  // parked before, as its connections are not waited for.
  virtual void Stop() = 0;
};

}  // namespace longstride
