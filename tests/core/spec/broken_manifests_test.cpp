// Each file of broken/ has one mistake. Its first line says what the one message must contain:
//   # expect: <line>:<column>: <text of the message>
// or `# expect: <text>` for faults of the file as a whole.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "core/spec/fault.h"
#include "tests/core/spec/spec_testing.h"

namespace longstride {
namespace {

std::vector<std::string> BrokenFiles() {
  std::vector<std::string> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(LONGSTRIDE_SOURCE_DIR "/tests/core/spec/broken")) {
    files.push_back(entry.path().filename().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class BrokenManifest : public testing::TestWithParam<std::string> {};

TEST_P(BrokenManifest, GivesOneClearMessage) {
  const std::string text =
      ReadTextFile(LONGSTRIDE_SOURCE_DIR "/tests/core/spec/broken/" + GetParam());
  const std::string marker = "# expect: ";
  ASSERT_TRUE(text.starts_with(marker));
  const std::string expected = text.substr(marker.size(), text.find('\n') - marker.size());
  const ParsedJob parsed = ParseTrainingJob(text, "f.yaml");
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(ToError(parsed.faults).message, "f.yaml:" + expected);
  EXPECT_EQ(ExitCodeOf(ToError(parsed.faults).code), 2);
}

TEST(BrokenManifests, AreAtLeastForty) { EXPECT_GE(BrokenFiles().size(), 40u); }

INSTANTIATE_TEST_SUITE_P(Files, BrokenManifest, testing::ValuesIn(BrokenFiles()), [](const auto& info) {
  std::string name = info.param.substr(0, info.param.rfind('.'));
  std::replace(name.begin(), name.end(), '-', '_');
  return "Case" + name;
});

}  // namespace
}  // namespace longstride
