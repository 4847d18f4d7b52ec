// One HTTP request and its answer over cpprestsdk, as a blocking call with a deadline that can be
// stopped. None of the library's exceptions leaves. Thread-safe.
//
// Connections are pooled; after an error or a 421 the pool is dropped, so that the next request
// opens a new one, which may lead to another server. Each TLS connection reads the CA bundle anew.
// The token is read from its file every minute and after a 401, which is then tried once more.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace longstride {

struct HttpAnswer {
  int status = 0;
  std::string body;
};

class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  // `path` is appended to the base URL; `body` is JSON, sent when not empty. Errors: kTransient
  // without an answer in time, kInterrupted once `stopped` (may be empty) returns true, looked at
  // every 50 ms.
  virtual Result<HttpAnswer> Send(const std::string& method, const std::string& path,
                                  const std::string& body, Duration deadline,
                                  const std::function<bool()>& stopped) = 0;
};

struct HttpEndpoint {
  std::string url;         // base
  std::string token;       // sent as `Authorization: Bearer`; unless:
  std::string token_file;  // holds it, and may change
  // Certificates that an https server's may be signed by, and no others; "" = the system's.
  std::string ca_file;
};

// kUser when the URL is neither http nor https, or the token file cannot be read.
[[nodiscard]] Result<std::unique_ptr<HttpExchange>> MakeHttpExchange(const HttpEndpoint& endpoint);

}  // namespace longstride
