#include "controller/kube/line_splitter.h"

#include <gmock/gmock.h>

#include <vector>

namespace longstride::kube {
namespace {

using ::testing::ElementsAre;

class LineSplitterTest : public ::testing::Test {
 protected:
  bool Feed(std::string_view bytes) {
    return splitter_.Feed(bytes, [&](std::string_view line) {
      lines_.emplace_back(line);
      return lines_.size() < 3;
    });
  }
  LineSplitter splitter_{8};
  std::vector<std::string> lines_;
};

TEST_F(LineSplitterTest, JoinsWhatArrivesInPieces) {
  EXPECT_TRUE(Feed("ab"));
  EXPECT_TRUE(Feed("c\r\nd\n\n"));
  EXPECT_TRUE(Feed("rest"));
  EXPECT_THAT(lines_, ElementsAre("abc", "d", ""));
  EXPECT_EQ(splitter_.rest(), "rest");
}

TEST_F(LineSplitterTest, EndsWhenTheTakerHasEnough) {
  EXPECT_TRUE(Feed("1\n2\n3\n4\n"));
  EXPECT_THAT(lines_, ElementsAre("1", "2", "3"));
}

TEST_F(LineSplitterTest, RefusesALineOverTheBoundInOnePieceOrMany) {
  EXPECT_TRUE(Feed("12345678\n"));
  EXPECT_FALSE(Feed("123456789\n"));
  LineSplitter other(8);
  EXPECT_TRUE(other.Feed("12345678", [](std::string_view) { return true; }));
  EXPECT_FALSE(other.Feed("9", [](std::string_view) { return true; }));
}

}  // namespace
}  // namespace longstride::kube
