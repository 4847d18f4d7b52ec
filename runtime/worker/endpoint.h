// Host and port of a URL, for finding the address that faces it.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/result.h"

namespace longstride {

struct HostPort {
  std::string host;
  uint16_t port = 0;
};

// Of "http://host:port/path", "https://host/path" or "http://[::1]:80/"; the scheme's port where
// none is given. kUser if it is no such URL.
[[nodiscard]] Result<HostPort> ParseHostPort(const std::string& url);

}  // namespace longstride
