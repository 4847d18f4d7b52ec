#include "core/base/read_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

namespace longstride {
namespace {

using ::testing::HasSubstr;

class ReadFileTest : public ::testing::Test {
 protected:
  ~ReadFileTest() override { std::remove(path_.c_str()); }
  void Write(size_t bytes) { std::ofstream(path_, std::ios::binary) << std::string(bytes, 'x'); }

  const std::string path_ = ::testing::TempDir() + "read_file_" +
                            ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(ReadFileTest, ReadsTheWholeAndNoMoreThanAsked) {
  Write(10);
  EXPECT_EQ(ReadFile(path_, 100).value().size(), 10U);
  EXPECT_EQ(ReadFile(path_, 4).value(), "xxxx");
}

TEST_F(ReadFileTest, AnEmptyFileIsNoFault) {
  Write(0);
  EXPECT_EQ(ReadSmallFile(path_).value(), "");
}

TEST_F(ReadFileTest, AMissingFileIsNamed) {
  const auto text = ReadSmallFile(path_);
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().code, ErrorCode::kUser);
  EXPECT_THAT(text.error().message, HasSubstr(path_ + ": cannot be read"));
}

TEST_F(ReadFileTest, ASmallFileHasALimit) {
  Write(size_t{1} << 20);
  EXPECT_TRUE(ReadSmallFile(path_).ok());
  Write((size_t{1} << 20) + 1);
  EXPECT_THAT(ReadSmallFile(path_).error().message, HasSubstr("larger than 1 MiB"));
}

}  // namespace
}  // namespace longstride
