// The HttpTransport over cpprestsdk (docs/adr/0006). Connections are kept and used again; a request
// that finds its connection dead is sent again at once, by the library or by us. So it may reach
// the server twice: creations use names that make the second one AlreadyExists.
#pragma once

#include <memory>
#include <string>

#include "controller/kube/http_transport.h"
#include "controller/kube/tls_source.h"
#include "core/base/result.h"

namespace longstride::kube {

struct CpprestTransportOptions {
  std::string url;                 // "https://10.0.0.1:6443", optionally with a path
  std::shared_ptr<TlsSource> tls;  // null only for http
  size_t max_body_bytes = size_t{64} << 20;
  size_t max_line_bytes = size_t{8} << 20;
};

// kUser when the URL is not one.
[[nodiscard]] Result<std::unique_ptr<HttpTransport>> MakeCpprestTransport(
    const CpprestTransportOptions& options);

}  // namespace longstride::kube
