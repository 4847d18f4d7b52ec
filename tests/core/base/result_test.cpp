#include "core/base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace longstride {
namespace {

Result<int> Half(int n) {
  if (n % 2 != 0) return UserError("odd");
  return n / 2;
}

Result<int> Quarter(int n) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const int half, Half(n));
  return Half(half);
}

Status Check(int n) {
  LONGSTRIDE_RETURN_IF_ERROR(Quarter(n));
  return {};
}

TEST(Result, CarriesValueOrError) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_FALSE(Quarter(6).ok());
  EXPECT_EQ(Quarter(7).error().message, "odd");
  EXPECT_TRUE(Check(4).ok());
  EXPECT_EQ(Check(3).error().code, ErrorCode::kUser);
}

TEST(Result, MovesValues) {
  Result<std::unique_ptr<int>> r = std::make_unique<int>(3);
  std::unique_ptr<int> p = std::move(r).value();
  EXPECT_EQ(*p, 3);
}

TEST(Result, EveryCodeHasItsOwnExitCode) {
  std::set<int> codes;
  for (ErrorCode c :
       {ErrorCode::kUser, ErrorCode::kData, ErrorCode::kResource, ErrorCode::kLostPeer,
        ErrorCode::kTransient, ErrorCode::kInterrupted, ErrorCode::kBug}) {
    EXPECT_NE(ExitCodeOf(c), 0);
    EXPECT_TRUE(codes.insert(ExitCodeOf(c)).second);
  }
}

}  // namespace
}  // namespace longstride
