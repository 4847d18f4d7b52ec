#include "controller/app/coordinator_names.h"

#include <gmock/gmock.h>

namespace longstride {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kService = "longstride-coordinator.default.svc";
constexpr const char* kLongService = "longstride-coordinator.default.svc.cluster.local";

CoordinatorNames NamesFor(const std::string& url, const std::string& pod_ip = "") {
  ControllerOptions options;
  options.coordinator_url = url;
  options.pod_ip = pod_ip;
  const auto names = NamesOfCoordinator(options);
  EXPECT_TRUE(names.ok()) << url;
  return names.ok() ? names.value() : CoordinatorNames{};
}

TEST(NamesOfCoordinator, InAPodAreTheServiceAndThePod) {
  const auto names = NamesFor("https://longstride-coordinator.default.svc:8443", "10.0.0.7");
  EXPECT_THAT(names.dns_names, ElementsAre(kService, kLongService));
  EXPECT_THAT(names.addresses, ElementsAre("10.0.0.7"));
}

TEST(NamesOfCoordinator, HoldTheHostThatWorkersAreToldToReach) {
  EXPECT_THAT(NamesFor("https://192.0.2.7:8443").addresses, ElementsAre("192.0.2.7"));
  EXPECT_THAT(NamesFor("https://[2001:db8::7]:8443").addresses, ElementsAre("2001:db8::7"));
  const auto names = NamesFor("https://trainer.example.org/longstride");
  EXPECT_THAT(names.dns_names, ElementsAre(kService, kLongService, "trainer.example.org"));
  EXPECT_THAT(names.addresses, IsEmpty());
}

TEST(NamesOfCoordinator, AUrlWithoutAHostOrTlsIsAnError) {
  for (const char* url :
       {"192.0.2.7:8443", "http://192.0.2.7:8443", "https://", "https://:8443", "https://[::1"}) {
    ControllerOptions options;
    options.coordinator_url = url;
    const auto names = NamesOfCoordinator(options);
    ASSERT_FALSE(names.ok()) << url;
    EXPECT_THAT(names.error().message, HasSubstr(std::string("\"") + url + "\""));
  }
}

}  // namespace
}  // namespace longstride
