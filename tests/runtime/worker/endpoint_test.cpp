#include "runtime/worker/endpoint.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

TEST(ParseHostPort, ReadsHostAndPort) {
  struct Case {
    const char* url;
    const char* host;
    uint16_t port;
  };
  for (const Case& c : {Case{"http://127.0.0.1:41234/v1/jobs/default/x", "127.0.0.1", 41234},
                        Case{"https://longstride.system.svc/v1", "longstride.system.svc", 443},
                        Case{"http://host", "host", 80}, Case{"http://[::1]:80/", "::1", 80},
                        Case{"https://[fe80::1]/", "fe80::1", 443}}) {
    const auto result = ParseHostPort(c.url);
    ASSERT_TRUE(result.ok()) << c.url;
    EXPECT_EQ(result.value().host, c.host);
    EXPECT_EQ(result.value().port, c.port);
  }
}

TEST(ParseHostPort, RefusesWhatIsNoUrl) {
  for (const char* url : {"", "127.0.0.1:80", "ftp://x", "http://", "http://:80", "http://x:",
                          "http://x:y", "http://x:70000", "http://x:0", "http://[::1"}) {
    const auto result = ParseHostPort(url);
    ASSERT_FALSE(result.ok()) << url;
    EXPECT_EQ(result.error().code, ErrorCode::kUser);
  }
}

}  // namespace
}  // namespace longstride
