#include "runtime/worker/endpoint.h"

#include <charconv>

namespace longstride {

Result<HostPort> ParseHostPort(const std::string& url) {
  const Error fault =
      UserError("--coordinator " + url + ": expected http://HOST:PORT/v1/jobs/NAMESPACE/NAME");
  HostPort result;
  size_t begin = 0;
  if (url.rfind("http://", 0) == 0) {
    begin = 7;
    result.port = 80;
  } else if (url.rfind("https://", 0) == 0) {
    begin = 8;
    result.port = 443;
  } else {
    return fault;
  }
  std::string authority = url.substr(begin, url.find('/', begin) - begin);
  size_t colon = authority.rfind(':');
  if (!authority.empty() && authority.front() == '[') {
    const size_t close = authority.find(']');
    if (close == std::string::npos) return fault;
    result.host = authority.substr(1, close - 1);
    colon = authority.find(':', close);
  } else {
    result.host = authority.substr(0, colon);
  }
  if (result.host.empty()) return fault;
  if (colon != std::string::npos) {
    const char* end = authority.data() + authority.size();
    const auto [rest, error] = std::from_chars(authority.data() + colon + 1, end, result.port);
    if (error != std::errc() || rest != end || result.port == 0) return fault;
  }
  return result;
}

}  // namespace longstride
