#include "runtime/collective/address.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

TEST(AddressTowards, IsLoopbackTowardsLoopback) {
  EXPECT_EQ(AddressTowards("127.0.0.1", 80).value(), "127.0.0.1");
  EXPECT_EQ(AddressTowards("::1", 80).value(), "::1");
}

TEST(AddressTowards, NamesAHostThatCannotBeResolved) {
  const auto address = AddressTowards("no.such.host.invalid", 80);
  ASSERT_FALSE(address.ok());
  EXPECT_NE(address.error().message.find("no.such.host.invalid"), std::string::npos);
}

}  // namespace
}  // namespace longstride
