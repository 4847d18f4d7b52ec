#include "controller/app/options.h"

#include <gmock/gmock.h>

#include <vector>

namespace longstride {
namespace {

using ::testing::HasSubstr;

// What was said against the flags; "" if they are taken.
std::string FaultOf(std::vector<std::string> flags) {
  flags.insert(flags.begin(), "longstride-controller");
  std::vector<char*> argv;
  for (std::string& flag : flags) argv.push_back(flag.data());
  testing::internal::CaptureStderr();
  const auto parsed = ParseControllerOptions(static_cast<int>(argv.size()), argv.data());
  std::string said = testing::internal::GetCapturedStderr();
  if (std::holds_alternative<ControllerOptions>(parsed)) return "";
  EXPECT_EQ(std::get<int>(parsed), 2);
  return said;
}

TEST(ControllerOptions, ItsDefaultsAreTaken) {
  EXPECT_EQ(FaultOf({}), "");
}

TEST(ControllerOptions, ALeaderStopsBeforeItsLeaseHasRunOut) {
  EXPECT_THAT(FaultOf({"--lease-seconds=10", "--renew-seconds=10"}), HasSubstr("--renew-seconds"));
  EXPECT_EQ(FaultOf({"--lease-seconds=10.5", "--renew-seconds=10"}), "");
}

TEST(ControllerOptions, ALeaderTriesAgainBeforeItStops) {
  EXPECT_THAT(FaultOf({"--renew-seconds=12", "--retry-seconds=10"}), HasSubstr("--retry-seconds"));
  EXPECT_EQ(FaultOf({"--renew-seconds=12", "--retry-seconds=9.9"}), "");
}

}  // namespace
}  // namespace longstride
