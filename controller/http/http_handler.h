// HTTP as values: what a server hands to the code behind it, so that code is tested without
// sockets.
#pragma once

#include <functional>
#include <string>

namespace longstride {

struct HttpRequest {
  std::string method;         // "GET", "POST"
  std::string path;           // percent-decoded, without the query
  std::string authorization;  // header value, "" if absent
  std::string body;
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
};

class HttpHandler {
 public:
  using Respond = std::function<void(HttpResponse)>;

  virtual ~HttpHandler() = default;
  // Called from several threads at once; must not block. `respond` is called exactly once, then or
  // later, on any thread; it does not throw.
  virtual void Handle(HttpRequest request, Respond respond) = 0;
};

}  // namespace longstride
