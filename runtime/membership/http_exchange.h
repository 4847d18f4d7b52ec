// One HTTP request and its answer over cpprestsdk, as a blocking call with a deadline that can be
// stopped. None of the library's exceptions leaves. Thread-safe.
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

// kUser when `url` is not an http URL.
[[nodiscard]] Result<std::unique_ptr<HttpExchange>> MakeHttpExchange(const std::string& url,
                                                                     const std::string& token);

}  // namespace longstride
