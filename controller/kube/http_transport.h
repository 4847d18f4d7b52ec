// HTTP as the Kubernetes client needs it: one request and its answer, or a stream of lines. An
// interface, so that what is above it is tested without sockets; cpprest_transport.h has the real
// one.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace longstride::kube {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct TransportRequest {
  std::string method = "GET";
  std::string path;   // from the server's root, percent-encoded: "/api/v1/pods"
  std::string query;  // encoded, without '?'
  HttpHeaders headers;
  std::string body;  // sent when not empty; its type is a header
};

struct TransportResponse {
  int status = 0;
  HttpHeaders headers;
  std::string body;

  // The value of the first header of that name (any case), or "".
  [[nodiscard]] std::string Header(std::string_view name) const;
};

// Thread-safe: any number of calls at once.
class HttpTransport {
 public:
  // Takes one line without its end, the last one also where the stream ends without it; false ends
  // the stream. Called on the thread of Stream().
  using LineSink = std::function<bool(std::string_view line)>;

  virtual ~HttpTransport() = default;

  // Blocks until the answer is here, whatever its status. Errors: kTransient without one before
  // `deadline` has passed (or at a failed connection), kInterrupted on `stop`, kUser when the
  // server's certificate is not trusted, kResource when the answer is longer than the bound (the
  // rest is thrown away as it comes).
  [[nodiscard]] virtual Result<TransportResponse> Send(const TransportRequest& request,
                                                       Duration deadline, std::stop_token stop) = 0;

  // Sends and, if the status is 2xx, gives the body to `sink` line by line as it arrives until the
  // server ends it or `sink` returns false; the response returned then has no body. Another status
  // comes back with its body and `sink` is not called. Errors as for Send; a stream that was cut or
  // outlived `deadline` is kTransient (what arrived was delivered, an unfinished line was not), a
  // line over the bound kResource.
  [[nodiscard]] virtual Result<TransportResponse> Stream(const TransportRequest& request,
                                                         const LineSink& sink, Duration deadline,
                                                         std::stop_token stop) = 0;
};

}  // namespace longstride::kube
