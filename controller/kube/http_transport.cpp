#include "controller/kube/http_transport.h"

#include <strings.h>

namespace longstride::kube {

std::string TransportResponse::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key.size() == name.size() && strncasecmp(key.data(), name.data(), name.size()) == 0) {
      return value;
    }
  }
  return "";
}

}  // namespace longstride::kube
